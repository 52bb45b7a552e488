"""What the tests of all engines ask of a result."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from transcribe_pipeline.artifacts import RecognisedSegment, RecognisedWord
from transcribe_pipeline.speech.recogniser import Heard


def words_of(heard: Iterable[Heard]) -> list[RecognisedWord]:
    return [word for _, segments in heard for segment in segments for word in segment.words]


def spoken(words: Sequence[RecognisedWord]) -> list[str]:
    """Lower case, without punctuation."""
    return ["".join(filter(str.isalnum, word.text.lower())) for word in words]


def assert_in_order(heard: Sequence[Heard]) -> None:
    """Stretches in order; words in order and inside it; a segment's text and times are those of its words."""
    assert all(left[0][1] <= right[0][0] for left, right in pairwise(heard))
    for (start, end), segments in heard:
        assert_words_in_order([word for segment in segments for word in segment.words], start, end)
        for segment in segments:
            assert (segment.start, segment.end) == (segment.words[0].start, segment.words[-1].end)
            assert segment.text == " ".join(word.text for word in segment.words)


def assert_words_in_order(words: Sequence[RecognisedWord], start: float, end: float, slack: float = 0.51) -> None:
    """:param slack: pauses beside a stretch may be heard with it."""
    assert all(start - slack <= word.start <= word.end <= end + slack for word in words)
    assert all(left.start <= right.start for left, right in pairwise(words))


def segment_texts(segments: Iterable[RecognisedSegment]) -> str:
    return " ".join(segment.text for segment in segments)
