"""Transcripts are cut where people would cut them, and nothing is left out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.strategies import transcripts
from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.text.chunks import MOST_WORDS, chunks


def spans(transcript, most_words=10):
    return [(chunk.first_segment, chunk.last_segment) for chunk in chunks(transcript, most_words=most_words)]


def turns(*lengths, speakers="A", start=0.0, pauses=()):
    """A segment of so many words for each length; a long pause after those whose position is in `pauses`."""
    made, time = [], start
    for i, words in enumerate(lengths):
        made.append((speakers[i % len(speakers)], timed("word " * words, start=time)))
        time += words * 0.3 + (5.0 if i in pauses else 0.0)
    return transcript_of(made)


def in_one_paragraph(transcript):
    (first, *_), last = transcript.paragraphs, transcript.segments[-1].id
    return transcript.model_copy(update={"paragraphs": (first.model_copy(update={"last_segment": last}),)})


@pytest.mark.parametrize(
    ("transcript", "expected"),
    [
        (turns(), []),
        (turns(3), [(0, 0)]),
        (turns(4, 4, 2), [(0, 2)]),
        (turns(40), [(0, 0)]),
        (turns(2, 40, 2), [(0, 0), (1, 1), (2, 2)]),
        (turns(3, 3, 3, 3, 3), [(0, 2), (3, 4)]),
        (turns(3, 3, 3, 3, 3, speakers="AABBB"), [(0, 1), (2, 4)]),  # where the speaker changes
        (turns(3, 3, 3, 3, 3, speakers="ABB"), [(0, 2), (3, 4)]),  # not in the first half
    ],
)  # fmt: skip
def test_cuts_are_in_good_places(transcript, expected):
    assert spans(transcript) == expected


def test_a_pause_is_better_than_none_and_a_paragraph_better_than_a_pause():
    paused = in_one_paragraph(turns(3, 3, 3, 3, 3, pauses=[1]))
    assert spans(paused) == [(0, 1), (2, 4)]
    first, last = (
        paused.paragraphs[0].model_copy(update={"last_segment": 2}),
        paused.paragraphs[0].model_copy(update={"first_segment": 3}),
    )
    assert spans(paused.model_copy(update={"paragraphs": (first, last)})) == [(0, 2), (3, 4)]


def test_text_is_written_as_the_language_is():
    assert chunks(turns(2, 1))[0].text == "word word word"
    assert chunks(transcript_of([("A", timed(["東京", "都"])), ("A", timed(["です"]))], "ja"))[0].text == "東京都です"


@settings(max_examples=50)
@given(transcripts(), st.integers(1, 60))
def test_every_segment_is_in_one_chunk_of_bounded_size(transcript, most_words):
    made = chunks(transcript, most_words=most_words)
    covered = [i for chunk in made for i in range(chunk.first_segment, chunk.last_segment + 1)]
    assert covered == [segment.id for segment in transcript.segments]
    for chunk in made:
        words = sum(len(segment.words) for segment in transcript.segments[chunk.first_segment : chunk.last_segment + 1])
        assert words <= most_words or chunk.first_segment == chunk.last_segment
    assert made == chunks(transcript, most_words=most_words)
    assert MOST_WORDS == 150
