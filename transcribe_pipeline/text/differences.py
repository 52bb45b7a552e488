"""What differs between two transcripts of one recording: words, and who said them.

What belongs here: comparing. What does not: showing it, and judging which is better.

Two transcripts of one recording say much the same at much the same time. So runs of words that both have in the same
few seconds, once, anchor one to the other, and only what lies between anchors is compared word by word.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

from transcribe_pipeline.artifacts import Transcript, TranscriptWord

_ANCHOR_WORDS = 4
_ANCHOR_SECONDS = 5.0
"""Engines put the same word within a second, so most runs stay in their few seconds; a refrain comes back later."""
_MAX_COMPARISONS = 4_000_000
"""Words times words between two anchors, about 2 s; what is longer and has no anchor has nothing in common."""


@dataclass(frozen=True)
class WordChange:
    """Words of the first transcript that the second has not, and what it has instead."""

    start: float
    """Seconds; by the second transcript where it has words here."""
    end: float
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class SpeakerChange:
    """A run of words that both have, given to somebody else."""

    start: float
    end: float
    words: int
    before: str | None
    """Under the second transcript's labels where that speaker has one there, else under the first's."""
    after: str | None


@dataclass(frozen=True)
class Differences:
    words: tuple[WordChange, ...]
    speakers: tuple[SpeakerChange, ...]
    same_words: int
    same_speaker: dict[str, str]
    """Label in the first transcript -> label of the same voice in the second, by the words they share."""


def compare(first: Transcript, second: Transcript) -> Differences:
    """Word by word, regardless of case and punctuation."""
    before, after = first.words, second.words
    positions = _same_words(before, after)
    same = [(before[i], after[j]) for i, j in positions]
    same_speaker = _same_speaker(same)
    return Differences(
        tuple(_word_changes(before, after, positions)),
        tuple(_speaker_changes(same, same_speaker)),
        len(same),
        same_speaker,
    )


# --- words ----------------------------------------------------------------------------------------------------------


def _same_words(before: Sequence[TranscriptWord], after: Sequence[TranscriptWord]) -> list[tuple[int, int]]:
    """Positions of the words that both have, in order."""
    old, new = [_bare(word.text) for word in before], [_bare(word.text) for word in after]
    same: list[tuple[int, int]] = []
    i = j = 0
    for anchor_i, anchor_j in [*_anchors(before, old, after, new), (len(old), len(new))]:
        same += _between(old, i, anchor_i, new, j, anchor_j)
        same.append((anchor_i, anchor_j))
        i, j = anchor_i + 1, anchor_j + 1
    return same[:-1]


def _bare(word: str) -> str:
    return "".join(character for character in word.casefold() if character.isalnum()) or word


def _between(old: list[str], i: int, end_i: int, new: list[str], j: int, end_j: int) -> Iterator[tuple[int, int]]:
    if (end_i - i) * (end_j - j) > _MAX_COMPARISONS:
        return
    matcher = SequenceMatcher(None, old[i:end_i], new[j:end_j], autojunk=False)
    for block in matcher.get_matching_blocks():
        yield from ((i + block.a + n, j + block.b + n) for n in range(block.size))


def _anchors(
    before: Sequence[TranscriptWord], old: list[str], after: Sequence[TranscriptWord], new: list[str]
) -> list[tuple[int, int]]:
    """First words of the runs that anchor the two, rising in both: the longest such series."""
    runs_before, runs_after = _single_runs(before, old), _single_runs(after, new)
    shared = sorted((runs_before[run], runs_after[run]) for run in runs_before.keys() & runs_after.keys())
    ends: list[int] = []  # ends[n]: lowest position in `after` at which a series of n + 1 anchors ends
    last: list[int] = []  # the anchor there
    previous: list[int] = []
    for number, (_, position) in enumerate(shared):
        length = bisect_left(ends, position)
        previous.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [position]
        last[length : length + 1] = [number]
    series, number = [], last[-1] if last else -1
    while number >= 0:
        series.append(shared[number])
        number = previous[number]
    return series[::-1]


def _single_runs(words: Sequence[TranscriptWord], bare: list[str]) -> dict[tuple[object, ...], int]:
    """Runs of words that begin only once in their few seconds -> where."""
    runs = [
        (int(words[n].start / _ANCHOR_SECONDS), *bare[n : n + _ANCHOR_WORDS])
        for n in range(len(words) - _ANCHOR_WORDS + 1)
    ]
    times = Counter(runs)
    return {run: n for n, run in enumerate(runs) if times[run] == 1}


def _word_changes(
    before: Sequence[TranscriptWord], after: Sequence[TranscriptWord], same: Sequence[tuple[int, int]]
) -> Iterator[WordChange]:
    i = j = 0
    for next_i, next_j in [*same, (len(before), len(after))]:
        gone, new = before[i:next_i], after[j:next_j]
        if place := new or gone:
            texts = (tuple(word.text for word in words) for words in (gone, new))
            yield WordChange(place[0].start, place[-1].end, *texts)
        i, j = next_i + 1, next_j + 1


# --- speakers -------------------------------------------------------------------------------------------------------


def _same_speaker(same: Sequence[tuple[TranscriptWord, TranscriptWord]]) -> dict[str, str]:
    """One to one, those with the most words in common first."""
    shared = Counter((old.speaker, new.speaker) for old, new in same if old.speaker and new.speaker)
    found: dict[str, str] = {}
    for (old, new), _ in shared.most_common():
        if old not in found and new not in found.values():
            found[str(old)] = str(new)
    return found


def _speaker_changes(
    same: Sequence[tuple[TranscriptWord, TranscriptWord]], same_speaker: dict[str, str]
) -> Iterator[SpeakerChange]:
    def speakers(pair: tuple[TranscriptWord, TranscriptWord]) -> tuple[str | None, str | None]:
        old, new = pair[0].speaker, pair[1].speaker
        return (same_speaker.get(old, old) if old else None), new

    for (before, after), run in groupby(same, key=speakers):
        if before != after:
            words = [new for _, new in run]
            yield SpeakerChange(words[0].start, words[-1].end, len(words), before, after)
