"""A transcript in stretches of like size that do not overlap: what search compares by meaning.

What does not belong here: how good a place to cut is (`text/cuts.py`), and what is done with the pieces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.text import cuts
from transcribe_pipeline.text.words import is_unspaced

MOST_WORDS: Final = 150
"""Sentence models read the first 256 or 512 word pieces of a text; English has 1.3 of them to a word."""


@dataclass(frozen=True)
class TextChunk:
    first_segment: int
    last_segment: int
    """Inclusive; positions in the transcript."""
    text: str


def chunks(transcript: Transcript, *, most_words: int = MOST_WORDS) -> list[TextChunk]:
    """Consecutive segments of up to `most_words` together, in order: each segment is in exactly one chunk.

    A chunk ends, in its second half, where the speaker changes, else where a paragraph ends, else at a pause. A segment
    that is longer than `most_words` is a chunk of its own.
    """
    strengths = cuts.strengths(transcript)
    made: list[TextChunk] = []
    first = 0
    while first < len(transcript.segments):
        last = _last(transcript, first, strengths, most_words)
        texts = [segment.text for segment in transcript.segments[first : last + 1]]
        made.append(TextChunk(first, last, ("" if is_unspaced(transcript.language) else " ").join(texts)))
        first = last + 1
    return made


def _last(transcript: Transcript, first: int, strengths: Sequence[float], most_words: int) -> int:
    words = 0
    candidates: list[int] = []
    for i in range(first, len(transcript.segments)):
        words += len(transcript.segments[i].words)
        if words > most_words:
            break
        if words > most_words / 2:
            candidates.append(i)
    else:
        return len(transcript.segments) - 1
    if not candidates:  # the next segment is too long to join
        return max(first, i - 1)
    return cuts.best(candidates, strengths, lambda i: -i)
