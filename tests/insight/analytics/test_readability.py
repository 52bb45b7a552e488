"""LIX, worked out by hand."""

from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.insight.analytics.readability import readability

SENTENCE = "The committee, a small one, decided on Thursday."  # 8 words, 3 of more than 6 letters


def test_lix() -> None:
    transcript = transcript_of([("A", timed(f"{SENTENCE} " * 20))])
    # 160 words in 20 sentences: 8, and 60 long words of 160: 37.5 %.
    assert readability(transcript) == {"lix": 45.5}


def test_where_there_is_none() -> None:
    words = timed(f"{SENTENCE} " * 20)
    unpunctuated = timed(f"{SENTENCE[:-1]} " * 20)
    assert readability(transcript_of([("A", words)], "ja")) == {}
    assert readability(transcript_of([("A", words)], "vi")) == {}
    assert readability(transcript_of([("A", words[:99])])) == {}
    assert readability(transcript_of([("A", unpunctuated)])) == {}
    assert readability(transcript_of([])) == {}
