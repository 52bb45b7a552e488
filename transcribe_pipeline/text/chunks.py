"""A transcript in stretches of like size: what is compared by meaning, and what a language model reads at a time.

What belongs here: where to cut. What does not: what is done with the pieces.
"""

from dataclasses import dataclass
from typing import Final

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.text.words import is_unspaced

MOST_WORDS: Final = 150
"""Sentence models read the first 256 or 512 word pieces of a text; English has 1.3 of them to a word."""
_PAUSE_SECONDS: Final = 1.0


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
    strengths = _strengths(transcript)
    made: list[TextChunk] = []
    first = 0
    while first < len(transcript.segments):
        last = _last(transcript, first, strengths, most_words)
        texts = [segment.text for segment in transcript.segments[first : last + 1]]
        made.append(TextChunk(first, last, ("" if is_unspaced(transcript.language) else " ").join(texts)))
        first = last + 1
    return made


def _last(transcript: Transcript, first: int, strengths: list[int], most_words: int) -> int:
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
    return max(candidates, key=lambda i: (strengths[i], i))


def _strengths(transcript: Transcript) -> list[int]:
    """How good a place to cut there is after each segment."""
    paragraph_ends = {paragraph.last_segment for paragraph in transcript.paragraphs}
    segments = transcript.segments
    strengths = []
    for i, segment in enumerate(segments):
        following = segments[i + 1] if i + 1 < len(segments) else None
        if following is None or following.speaker != segment.speaker:
            strengths.append(3)
        elif i in paragraph_ends:
            strengths.append(2)
        else:
            strengths.append(int(following.start - segment.end >= _PAUSE_SECONDS))
    return strengths
