"""Where a transcript is best cut. Used wherever it is read in pieces: for search, for language models, for people.

What belongs here: how good a place is. What does not: how large the pieces are.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.text.words import ends_clause

SPEAKER_CHANGE: Final = 3.0
PARAGRAPH_END: Final = 2.0
PAUSE: Final = 1.0
SEGMENT_END: Final = 0.0
"""A sentence ends here, or a very long one was cut at a clause."""
WITHIN_SEGMENT: Final = -1.0
"""After a clause, or at a pause."""
WITHIN_CLAUSE: Final = -2.0
PAUSE_SECONDS: Final = 1.0


def strengths(transcript: Transcript) -> list[float]:
    """How good a place to cut there is after each segment: one of the constants, the more the better."""
    paragraph_ends = {paragraph.last_segment for paragraph in transcript.paragraphs}
    made = [
        SPEAKER_CHANGE
        if left.speaker != right.speaker
        else PARAGRAPH_END
        if left.id in paragraph_ends
        else PAUSE
        if right.start - left.end >= PAUSE_SECONDS
        else SEGMENT_END
        for left, right in pairwise(transcript.segments)
    ]
    return [*made, SPEAKER_CHANGE] if transcript.segments else []


def word_strengths(transcript: Transcript, segment_strengths: Sequence[float]) -> list[float]:
    """How good a place to cut there is after each word of the transcript.

    :param segment_strengths: after each segment, which holds for its last word.
    """
    made: list[float] = []
    for segment, strength in zip(transcript.segments, segment_strengths, strict=True):
        made.extend(
            WITHIN_SEGMENT if ends_clause(word.text) or following.start - word.end >= PAUSE_SECONDS else WITHIN_CLAUSE
            for word, following in pairwise(segment.words)
        )
        made.extend([strength] * bool(segment.words))
    return made


def best(places: Iterable[int], strengths: Sequence[float], distance: Callable[[int], float]) -> int:
    """The strongest of `places`; of equally strong ones the one with the least `distance`, and then the first."""
    return max(places, key=lambda place: (strengths[place], -distance(place)))
