# ruff: noqa: RUF001  # characters that look like others are what is tested
"""What counts as a word."""

import pytest

from transcribe_pipeline.insight.analytics.counting import tokens, unit_of


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Hello,", ["hello"]),
        ("don’t", ["don't"]),
        ("“mm-hmm”", ["mm-hmm"]),
        ("$5.50", ["5.50"]),
        ("-", []),
        ("", []),
        ("STRASSE", ["strasse"]),
        ("Straße", ["strasse"]),
        ("cafe\u0301", ["café"]),
        ("हिन्दी,", ["हिन्दी"]),  # ends with a vowel sign
        ("¿Qué?", ["qué"]),
    ],
)
def test_words(word: str, expected: list[str]) -> None:
    assert tokens(word, "words") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今日は、", ["今", "日", "は"]),
        ("AIの話", ["ai", "の", "話"]),
        ("2024年", ["2024", "年"]),
        ("Tシャツ", ["t", "シ", "ャ", "ツ"]),
        ("น้ำ", ["น", "ำ"]),  # the tone mark belongs to its letter
        ("。", []),
    ],
)
def test_characters(text: str, expected: list[str]) -> None:
    assert tokens(text, "characters") == expected


def test_units() -> None:
    assert {language: unit_of(language) for language in ("en", "ko", "ja", "th", "km")} == {
        "en": "words",
        "ko": "words",
        "ja": "characters",
        "th": "characters",
        "km": "characters",
    }
