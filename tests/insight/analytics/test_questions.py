# ruff: noqa: RUF001  # characters that look like others are what is tested
"""Questions by language: what real recognisers write, with and without punctuation."""

import pytest

from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.insight.analytics.questions import Questions


def asked(language: str, *sentences: str) -> int | None:
    """Questions in a transcript with a segment for each sentence; None if they cannot be told."""
    unspaced = language in ("ja", "zh", "yue", "th", "my", "lo")
    turns = [(None, timed([text] if unspaced else text, start=10.0 * n)) for n, text in enumerate(sentences)]
    transcript = transcript_of(turns, language)
    questions = Questions.of(transcript)
    return None if questions is None else sum(questions.count(segment.text) for segment in transcript.segments)


@pytest.mark.parametrize(
    ("language", "sentences", "expected"),
    [
        ("en", ["Where were you?", "I was at home."], 1),
        ("en", ["What? Why? You did what?!"], 3),
        ("en", ['He said "why?" and left.'], 1),
        ("es", ["¿Dónde estabas?", "En casa."], 1),
        ("ar", ["أين كنت؟"], 1),
        ("el", ["Πού ήσουν; Στο σπίτι."], 1),
        ("en", ["One; two; three."], 0),
        ("hy", ["Ո՞ւր էիր։", "Տանը։"], 1),
        ("ja", ["どこにいましたか？家です。", "そうですか。"], 1),
        ("zh", ["你好吗？", "我很好。"], 1),
        ("th", ["ไปไหน?"], 1),
    ],
)
def test_marks(language: str, sentences: list[str], expected: int) -> None:
    assert asked(language, *sentences) == expected


@pytest.mark.parametrize(
    ("language", "sentences", "expected"),
    [
        ("ja", ["明日は来ますか", "はい行きます", "そうですか", "いいですか。"], 2),
        ("zh", ["你好吗", "我很好"], 1),
        ("yue", ["你食咗飯嗎", "食咗"], 1),
        ("ko", ["어디에 갑니까 지금 합니까", "집에 갑니다"], 1),
        ("th", ["คุณสบายดีไหมครับ", "สบายดีครับ"], 1),
        ("my", ["နေကောင်းလား", "ကောင်းပါတယ်"], 1),
    ],
)
def test_particles_where_no_mark_is_written(language: str, sentences: list[str], expected: int) -> None:
    assert asked(language, *sentences) == expected


def test_inversion_tells_only_where_nothing_is_punctuated() -> None:
    spoken = ["so do you like it", "what is that", "what i like is tea", "how many people were there", "you do like it"]
    assert asked("en", *spoken) == 3
    assert asked("en", *spoken, "Is that so.") == 0
    assert asked("es", "dónde estabas", "donde siempre", "y por qué") == 2
    assert asked("fr", "est-ce que tu viens", "qu’est-ce que tu fais", "je viens") == 2


@pytest.mark.parametrize(
    ("language", "sentence"), [("lo", "ສະບາຍດີ"), ("de", "wo warst du"), ("km", "សួស្តី។"), ("bo", "བཀྲ་ཤིས།")]
)
def test_where_they_cannot_be_told(language: str, sentence: str) -> None:
    assert asked(language, *[sentence] * 5) is None


def test_the_last_sentence() -> None:
    questions = Questions.of(transcript_of([("A", timed("Is it? It is."))]))
    assert questions
    assert questions.is_last_in("It is. Is it?")
    assert not questions.is_last_in("Is it? It is.")
    assert not questions.is_last_in("")
