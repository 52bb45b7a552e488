"""Words per minute, overall and over time."""

from collections.abc import Iterable, Sequence
from typing import Final

from transcribe_pipeline.insights import PaceWindow
from transcribe_pipeline.speech.spans import Span

LEAST_SECONDS: Final = 3.0
"""Of talk, for its pace to say something: two words in a third of a second would be 360 a minute."""
_WINDOW_SECONDS: Final = (30, 60, 120, 300, 600, 1800, 3600)
_MAX_WINDOWS: Final = 60


def words_per_minute(words: int, talk_seconds: float) -> float | None:
    """Speaking rate: pauses within the spans of talk are part of it, as they are not of an articulation rate
    (Goldman-Eisler, F. 1968: Psycholinguistics: experiments in spontaneous speech).

    :return: None for less than 3 s, and where talk was heard but no word of it was understood.
    """
    return 60 * words / talk_seconds if words and talk_seconds >= LEAST_SECONDS else None


def window_seconds(seconds: float) -> float:
    """Length of the windows of a recording: at least half a minute, and at most 60 of them in up to 60 hours."""
    return float(next((step for step in _WINDOW_SECONDS if seconds <= step * _MAX_WINDOWS), _WINDOW_SECONDS[-1]))


def windows(times: Iterable[float], spans: Sequence[Sequence[Span]], seconds: float) -> list[PaceWindow]:
    """All windows of a recording; the last may be shorter.

    :param times: of words.
    :param spans: of talk, disjoint, for each of those whose talk adds up.
    """
    step = window_seconds(seconds)
    starts = [number * step for number in range(max(-int(-seconds // step), 1))]
    counts, talk = [0] * len(starts), [0.0] * len(starts)
    last = len(starts) - 1
    for time in times:
        counts[min(int(time // step), last)] += 1
    for start, end in (span for each in spans for span in each):
        for number in range(min(int(start // step), last), min(int(end // step), last) + 1):
            talk[number] += max(min(end, starts[number] + step) - max(start, starts[number]), 0.0)
    return [
        PaceWindow(
            start=start,
            end=min(start + step, max(seconds, start)),
            words=counts[number],
            talk_seconds=talk[number],
            words_per_minute=words_per_minute(counts[number], talk[number]),
        )
        for number, start in enumerate(starts)
    ]
