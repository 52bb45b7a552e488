"""Fillers and the words of back-channels, by language."""

import pytest

from transcribe_pipeline.insight.analytics.counting import tokens, unit_of
from transcribe_pipeline.insight.analytics.lexicons import fillers, is_backchannel


def said(text: str, language: str) -> list[str]:
    return [token for word in text.split() for token in tokens(word, unit_of(language))]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Um, I, uhhh, like, you know, went to Umm Qasr.", 3),
        ("de", "Äh, das ist, ähm, gut. Öhm.", 3),
        ("fr", "Euh, je ne sais pas, euh.", 2),
        ("ja", "えーと 今日は えっと 行きます", 2),
        ("zh", "嗯 我觉得 呃 不是", 2),
        ("sw", "Eh, um, uh.", None),
        ("en", "", 0),
    ],
)
def test_fillers(language: str, text: str, expected: int | None) -> None:
    assert fillers(said(text, language), language) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Mm-hmm.", True),
        ("en", "Yeah, yeah, right.", True),
        ("en", "Oh, I see.", True),
        ("en", "No.", False),
        ("en", "Yeah, but", False),
        ("en", "", True),
        ("de", "Ach so, genau.", True),
        ("ja", "そうですね。", True),
        ("ja", "いいえ。", False),
        ("ja", "", True),
        ("sw", "Ndiyo.", True),
        ("sw", "Sikubaliani nawe kabisa.", False),
        ("th", "ครับ", True),
        ("th", "ผมไม่เห็นด้วย", False),
    ],
)
def test_what_may_be_a_backchannel(language: str, text: str, expected: bool) -> None:
    assert is_backchannel(said(text, language), language, unit_of(language)) is expected
