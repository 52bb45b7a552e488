"""Times for the words of a text, from whatever an engine tells of them: its own words, some of them, or none.

Engines that give words and text apart write them differently: OpenAI's words have no punctuation, others' begin with
a space. The text is what is kept; the words only lend it their times.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby

from transcribe_pipeline.text.words import is_unspaced

TimedWord = tuple[str, float, float]
"""Text, start and end in seconds."""

_WRITTEN_WORD = re.compile(r"\S+")
# In scripts without spaces each character is one, with the marks that follow it; foreign words stay whole.
_UNSPACED_WORD = re.compile(r"\s*(?:[^\W\u0e00-\U0010ffff]+|\w)\W*|\W+")


def timed_words(text: str, start: float, end: float, heard: Sequence[TimedWord], language: str) -> list[TimedWord]:
    """The words of `text`, none lost or changed, in order and between `start` and `end`.

    :param heard: the engine's words in order of time, spelled in any way.
    :param language: ISO 639-1, or empty; decides what a word is.

    Words that were not heard lie between their neighbours, each as long as it has letters for.
    """
    pattern = _UNSPACED_WORD if is_unspaced(language) else _WRITTEN_WORD
    words = [word for found in pattern.findall(text) if (word := found.strip())]
    times = _heard_times(words, [(w, max(s, start), min(e, end)) for w, s, e in heard if s < end and e > start])
    timed: list[TimedWord] = []
    reached = start
    for is_heard, run in groupby(range(len(words)), key=lambda position: position in times):
        positions = list(run)
        following = times.get(positions[-1] + 1, (end, end))[0]
        found = times if is_heard else _spread(words, positions, reached, max(reached, following))
        for position in positions:
            word_start = max(reached, found[position][0])
            reached = max(word_start, found[position][1])
            timed.append((words[position], word_start, reached))
    return timed


def _spread(words: Sequence[str], positions: Sequence[int], start: float, end: float) -> dict[int, tuple[float, float]]:
    per_letter = (end - start) / sum(len(words[position]) for position in positions)
    times = {}
    for position in positions:
        times[position] = (start, start + len(words[position]) * per_letter)
        start = times[position][1]
    return times


def _heard_times(words: Sequence[str], heard: Sequence[TimedWord]) -> dict[int, tuple[float, float]]:
    """Start and end, by position, of the words that share letters with what was heard, in order."""
    owners = [position for position, word in enumerate(words) for _ in _letters(word)]
    slices = [piece for word, start, end in heard for piece in _slices(start, end, len(_letters(word)))]
    times: dict[int, tuple[float, float]] = {}
    written, spoken = "".join(map(_letters, words)), "".join(_letters(word) for word, _, _ in heard)
    for letter, slot in _matches(written, spoken):
        start, end = slices[slot]
        times[owners[letter]] = (times.get(owners[letter], (start, end))[0], end)
    return times


def _letters(word: str) -> str:
    return "".join(filter(str.isalnum, word.casefold()))


def _slices(start: float, end: float, count: int) -> list[tuple[float, float]]:
    each = (end - start) / max(count, 1)
    return [(start + n * each, start + (n + 1) * each) for n in range(count)]


def _matches(written: str, spoken: str) -> Iterator[tuple[int, int]]:
    """Positions of the same letter in both, in order."""
    if written == spoken:  # most of the time; matching is quadratic
        yield from zip(range(len(written)), range(len(spoken)), strict=True)
        return
    for left, right, length in SequenceMatcher(None, written, spoken, autojunk=False).get_matching_blocks():
        yield from ((left + n, right + n) for n in range(length))
