"""Doubts about what was recognised: raised where they should be, and not about ordinary speech."""

import pytest

from transcribe_pipeline.artifacts import Doubt, RecognisedSegment, RecognisedWord
from transcribe_pipeline.speech.quality import doubts, is_noise, is_plausible_speed, is_suspicious, repeated_words


def segment(text: str, *, seconds: float | None = None, probability: float = 0.9, **changes: float | None):
    pieces = text.split()
    each = (seconds or 0.4 * len(pieces)) / max(len(pieces), 1)
    words = tuple(
        RecognisedWord(text=piece, start=n * each, end=(n + 1) * each, probability=probability)
        for n, piece in enumerate(pieces)
    )
    values = {"avg_logprob": -0.2, "no_speech_prob": 0.05, "compression_ratio": 1.4} | changes
    return RecognisedSegment(start=0.0, end=each * len(pieces), text=text, words=words, **values)


ALL = [(0.0, 1_000.0)]
ORDINARY = "Printing, in the only sense with which we are at present concerned, differs from most arts and crafts."


def test_ordinary_speech_raises_no_doubt():
    assert doubts(segment(ORDINARY), ALL, "en") == ()
    assert not is_suspicious(segment(ORDINARY))


@pytest.mark.parametrize(
    ("heard", "speech", "doubt"),
    [
        (segment(ORDINARY, probability=0.3), ALL, Doubt.LOW_CONFIDENCE),
        (segment(ORDINARY, avg_logprob=-1.2), ALL, Doubt.LOW_CONFIDENCE),
        (segment("I know. " * 6), ALL, Doubt.REPETITION),
        (segment(ORDINARY), [(0.0, 1.0)], Doubt.NO_SPEECH),
        (segment(ORDINARY, no_speech_prob=0.8), ALL, Doubt.NO_SPEECH),
        (segment("Thanks for watching!"), [], Doubt.HALLUCINATION),
        (segment("ご視聴ありがとうございました", no_speech_prob=0.5), ALL, Doubt.HALLUCINATION),
        (segment("Vielen Dank fürs Zuschauen."), [], Doubt.HALLUCINATION),
        (segment(ORDINARY * 3, seconds=5.0), ALL, Doubt.SPEED),
        (segment("Hm. Yes.", seconds=9.0), ALL, Doubt.SPEED),
    ],
)
def test_doubts(heard, speech, doubt):
    assert doubt in doubts(heard, speech, "en")


def test_thanks_are_believed_where_somebody_speaks():
    assert Doubt.HALLUCINATION not in doubts(segment("Thank you."), ALL, "en")


@pytest.mark.parametrize(
    ("text", "looping"),
    [
        ("no no no", 0),
        ("no no no no no no", 6),
        ("No, no. NO! no, no no", 6),
        ("I know I know I know", 6),
        ("we came we saw we won", 0),
        ("and so on and so forth and so on", 0),
        ("so it was a b c a b c a b c then", 9),
    ],
)
def test_loops(text, looping):
    assert repeated_words(text.split()) == looping


def test_an_engine_that_tells_no_figures_is_judged_by_its_words():
    unknown = {"avg_logprob": None, "no_speech_prob": None, "compression_ratio": None}
    assert not is_suspicious(segment(ORDINARY, **unknown))
    assert is_suspicious(segment("thank you very much " * 20, **unknown))
    assert is_noise(segment("thank you very much " * 20, **unknown))


def test_scripts_without_spaces_are_counted_by_characters():
    news = ["今日は東京で新しい駅が開業しました"]  # 17 characters
    assert is_plausible_speed(news, 3.0, "ja")
    assert not is_plausible_speed(news * 4, 3.0, "ja")
