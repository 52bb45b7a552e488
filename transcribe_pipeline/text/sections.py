"""A transcript in parts that fit a language model's context: every segment in exactly one, cut where it hurts least."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.text import cuts

_TOLERANCE: Final = 0.25
"""How much larger or smaller than its share a section may be for the sake of a better cut."""


class Section(NamedTuple):
    first_segment: int
    last_segment: int
    """Inclusive."""


def sections(
    transcript: Transcript, *, tokens: int, cost: Callable[[int], int], strengths: Sequence[float] | None = None
) -> list[Section]:
    """As few as can be, and of like size, since the last ten lines on their own tell a model little.

    Each ends, within a quarter of its fair share, where the speaker changes, else where a paragraph ends, else at a
    pause. Linear in the number of segments.

    :param tokens: that a section may have.
    :param cost: tokens of the segment at a position, as it is written in the prompt. Asked once for each.
    :param strengths: how good a place to cut there is after each segment, if not as `cuts.strengths` has it.
    :raises PipelineError: LANGUAGE_MODEL_REFUSED, if a single segment is larger than `tokens`. Segments are sentences
        of 30 s at most, so that only the smallest context or the strangest text does this.
    """
    costs = [cost(i) for i in range(len(transcript.segments))]
    if not costs:
        return []
    if (largest := max(costs)) > tokens:
        raise PipelineError(
            ErrorCode.LANGUAGE_MODEL_REFUSED,
            f"segment {costs.index(largest)} has {largest} tokens; the context has room for {tokens}",
        )
    if strengths is None:
        strengths = cuts.strengths(transcript)
    before = [0, *accumulate(costs)]
    made: list[Section] = []
    earliest = _earliest_starts(before, tokens)
    first = 0
    for following in range(len(earliest) - 2, -1, -1):
        end = _end(before, first, following, earliest[following], tokens, strengths)
        made.append(Section(first, end - 1))
        first = end
    return made


def _earliest_starts(before: Sequence[int], tokens: int) -> list[int]:
    """At n: the first segment from which on n sections are enough; the last is 0, as n is the least for all."""
    starts = [len(before) - 1]
    while starts[-1] > 0:
        starts.append(bisect_left(before, before[starts[-1]] - tokens))
    return starts


def _end(
    before: Sequence[int], first: int, following: int, earliest: int, tokens: int, strengths: Sequence[float]
) -> int:
    """The end (exclusive) of the section that begins at `first`, with `following` sections after it.

    :param before: tokens before each segment, and in all.
    :param earliest: an earlier end would leave more than `following` sections can hold.
    """
    lowest = max(first + 1, earliest)
    highest = min(bisect_right(before, before[first] + tokens), len(before) - following) - 1
    share = (before[-1] - before[first]) / (following + 1)

    def distance(end: int) -> float:
        return abs(before[end] - before[first] - share)

    low = bisect_left(before, before[first] + (1 - _TOLERANCE) * share, lowest, highest)
    high = bisect_right(before, before[first] + (1 + _TOLERANCE) * share, low, highest + 1) - 1
    return 1 + cuts.best(range(low - 1, max(high, low)), strengths, lambda last: distance(last + 1))
