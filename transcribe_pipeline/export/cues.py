"""Transcript -> subtitle cues: which words are shown together, on which lines, from when to when.

The rules, in falling order of force:
1. every word once, in order; no cue mixes speakers;
2. two lines of 42 columns (a longer single word overflows rather than being cut or lost);
3. at most 7 s; cues do not overlap unless the speech does; all times inside the recording;
4. breaks at the ends of sentences, then of clauses, then at pauses; cues evenly filled;
5. at least 1 s, and no faster than 20 columns/s: held longer while nobody speaks, as far as that goes.

Figures: Netflix Timed Text Style Guide, General Requirements (two lines, 7 s) and English (42 characters a line, 20
characters/s for adult programmes; 17 in older editions). Columns are terminal columns, so a CJK character counts as
two: 21 a line and 10 a second. That guide's Korean edition counts likewise (16 a line, Latin characters as half).
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.text.words import ends_clause, ends_sentence, join_words, separator

LINE_COLUMNS = 42
MAX_SECONDS = 7.0
MIN_SECONDS = 1.0
COLUMNS_PER_SECOND = 20.0

NAME_COLUMNS = 20
"""A caption shows this much of a speaker's name, so that at least half of the first line is left for speech."""

# A longer silence always ends a cue: text must not stand there a second before it is spoken.
_MAX_PAUSE_SECONDS = 1.0
# A speaker who stops this long has finished a phrase, whatever the punctuation says.
_PHRASE_PAUSE_SECONDS = 0.3

# Costs of ending a cue somewhere, and of what it then looks like; only their ratios matter. An extra cue that is half
# empty (0.5) is worth it to end at a sentence rather than in mid-phrase, not to avoid a clause's end. A cue that holds
# a sentence's end and the beginning of the next, but not all of it, reads badly; one too short to be read (4 per
# missing second) is worse than either.
_CLAUSE_COST = 0.5
_PHRASE_COST = 0.8
_MID_PHRASE_COST = 2.0
_BEGUN_SENTENCE_COST = 1.0
_EMPTINESS_COST = 2.0
_SHORTNESS_COST = 4.0
# Lines may differ by this many columns more for each unit of break cost saved: 15 to break after a clause.
_LINE_BREAK_COLUMNS = 10


class CueWord(NamedTuple):
    text: str
    start: float
    """Seconds, as spoken; not bound to the cue's times."""
    end: float


@dataclass(frozen=True)
class Cue:
    """One subtitle. Times are seconds in whole milliseconds; text is cleaned but not escaped for any format."""

    start: float
    end: float
    speaker: str | None
    """Label, not name."""
    introduces: str
    """Name to show before the text: that of a known speaker who did not speak in the cue before, else ''."""
    lines: tuple[str, ...]
    """One or two, never empty; the first leaves room for 'name: '."""
    words: tuple[tuple[CueWord, ...], ...]
    """Those of each line."""


class _Word(NamedTuple):
    text: str
    start: float
    end: float
    columns: int
    space: int
    """Columns between this word and the next: 0 or 1."""
    break_cost: float
    """Of ending a cue after this word; 0 at the end of a sentence."""
    sentence: int
    """Counted from the run's first."""


class _Run(NamedTuple):
    """Words of one speaker without a long pause: the unit that is divided into cues."""

    speaker: str | None
    introduces: str
    words: list[_Word]
    deadline: float
    """When the next run starts or the recording ends."""

    @property
    def prefix_columns(self) -> int:
        """Taken from the first line of the first cue by 'name: '."""
        return display_columns(f"{self.introduces}: ") if self.introduces else 0


def build_cues(transcript: Transcript, names: Mapping[str, str], max_words: int | None = None) -> list[Cue]:
    """Divide a cleaned transcript (`Script.transcript`) into cues of at most `max_words`.

    `names`: label -> name to introduce a speaker with; '' for none.
    """
    cues = [cue for run in _runs(transcript, names) for cue in _run_cues(run, transcript.language, max_words)]
    return _timed(cues, transcript.audio_seconds)


def _run_cues(run: _Run, language: str, max_words: int | None) -> Iterator[Cue]:
    """The run's cues, with times as spoken."""
    stops = _division(run, max_words or len(run.words))
    for first, stop in pairwise([0, *stops]):
        words = run.words[first:stop]
        lines = _lines(words, run.prefix_columns if first == 0 else 0)
        yield Cue(
            start=words[0].start,
            end=words[-1].end,
            speaker=run.speaker,
            introduces=run.introduces if first == 0 else "",
            lines=tuple(join_words((word.text for word in line), language) for line in lines),
            words=tuple(tuple(CueWord(word.text, word.start, word.end) for word in line) for line in lines),
        )


def display_columns(text: str) -> int:
    """Columns that `text` takes: 2 for wide East Asian characters and emoji, 0 for combining marks, else 1."""
    return len(text) if text.isascii() else sum(map(_character_columns, text))


@lru_cache(maxsize=4096)
def _character_columns(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _caption_name(name: str) -> str:
    if display_columns(name) <= NAME_COLUMNS:
        return name
    widths = accumulate(map(_character_columns, name))
    return name[: sum(width < NAME_COLUMNS for width in widths)].rstrip() + "…"


# --- runs -----------------------------------------------------------------------------------------------------------


def _runs(transcript: Transcript, names: Mapping[str, str]) -> Iterator[_Run]:
    groups = list(_uninterrupted(transcript))
    deadlines = [*(words[0].start for _, words in groups), transcript.audio_seconds][1:]
    speaker_before = None
    for (speaker, words), deadline in zip(groups, deadlines, strict=True):
        introduces = _caption_name(names[speaker]) if speaker and speaker != speaker_before else ""
        yield _Run(speaker, introduces, words, deadline)
        speaker_before = speaker


def _uninterrupted(transcript: Transcript) -> Iterator[tuple[str | None, list[_Word]]]:
    """The words between speaker changes and long pauses."""
    spoken = [(segment.speaker, word) for segment in transcript.segments for word in segment.words]
    words: list[_Word] = []
    for (speaker, word), (speaker_after, word_after) in pairwise([*spoken, *spoken[-1:]]):
        pause = word_after.start - word.end
        sentence = words[-1].sentence + (words[-1].break_cost == 0) if words else 0
        space = len(separator(word.text, word_after.text, transcript.language))
        cost = _break_cost(word.text, pause)
        words.append(_Word(word.text, word.start, word.end, display_columns(word.text), space, cost, sentence))
        if speaker_after != speaker or pause > _MAX_PAUSE_SECONDS or word_after is word:
            yield speaker, words
            words = []


def _break_cost(word: str, pause: float) -> float:
    if ends_sentence(word):
        return 0.0
    if ends_clause(word):
        return _CLAUSE_COST
    return _PHRASE_COST if pause >= _PHRASE_PAUSE_SECONDS else _MID_PHRASE_COST


# --- division into cues ---------------------------------------------------------------------------------------------


def _division(run: _Run, max_words: int) -> list[int]:
    """Where the run's cues stop (exclusive word positions), with the lowest total cost.

    Dynamic programming over break positions: a cue holds few words, so the time is linear in the run's length.
    """
    total = len(run.words)
    best_cost = [0.0] + [float("inf")] * total
    best_start = [0] * (total + 1)
    for first in range(total):
        for stop, columns in _fitting(run, first, max_words):
            cost = best_cost[first] + _cost(run, first, stop, columns)
            if cost < best_cost[stop]:
                best_cost[stop], best_start[stop] = cost, first
    stops = [total]
    while (first := best_start[stops[-1]]) > 0:
        stops.append(first)
    return stops[::-1]


def _fitting(run: _Run, first: int, max_words: int) -> Iterator[tuple[int, int]]:
    """(stop, columns) of every cue from `first` that keeps the hard rules. One word always does."""
    words = run.words
    columns = words[first].columns
    yield first + 1, columns
    latest_end = words[first].start + MAX_SECONDS
    line, line_columns = 1, columns + (run.prefix_columns if first == 0 else 0)
    for position in range(first + 1, min(first + max_words, len(words))):
        if line_columns > LINE_COLUMNS:
            return
        space, word = words[position - 1].space, words[position]
        columns += space + word.columns
        line_columns += space + word.columns
        if line_columns > LINE_COLUMNS:
            line, line_columns = line + 1, word.columns
        if line > 2 or line_columns > LINE_COLUMNS or word.end > latest_end:
            return
        yield position + 1, columns


def _cost(run: _Run, first: int, stop: int, columns: int) -> float:
    opening, closing = run.words[first], run.words[stop - 1]
    free_at = run.words[stop].start if stop < len(run.words) else run.deadline
    shortness = max(0.0, MIN_SECONDS - max(0.0, free_at - opening.start))
    emptiness = max(0.0, 1 - columns / (2 * LINE_COLUMNS))
    cost = closing.break_cost + _SHORTNESS_COST * shortness + _EMPTINESS_COST * emptiness**2
    if closing.break_cost > 0 and closing.sentence != opening.sentence:
        cost += _BEGUN_SENTENCE_COST
    return cost


# --- lines ----------------------------------------------------------------------------------------------------------


def _lines(words: Sequence[_Word], prefix_columns: int) -> tuple[Sequence[_Word], ...]:
    """One line if it fits, else the two that are most alike, rather broken after punctuation than evenly."""
    # ends[i]: the column at which words[i] ends if all stand on one line
    ends = [column - word.space for column, word in zip(_running_columns(words, prefix_columns), words, strict=True)]
    if len(words) == 1 or ends[-1] <= LINE_COLUMNS:
        return (words,)

    def cost(stop: int) -> tuple[bool, float]:
        upper, lower = ends[stop - 1], ends[-1] - ends[stop - 1] - words[stop - 1].space
        unevenness = abs(upper - lower) + _LINE_BREAK_COLUMNS * words[stop - 1].break_cost
        return max(upper, lower) > LINE_COLUMNS, unevenness

    stop = min(range(1, len(words)), key=cost)
    return words[:stop], words[stop:]


def _running_columns(words: Sequence[_Word], prefix_columns: int) -> list[int]:
    return list(accumulate((word.columns + word.space for word in words), initial=prefix_columns))[1:]


# --- times ----------------------------------------------------------------------------------------------------------


def _timed(cues: list[Cue], audio_seconds: float) -> list[Cue]:
    """Starts in order, ends that can be read, everything inside the recording, in whole milliseconds.

    Word times may be slightly off (a recogniser's last word may end after the audio): text is never dropped for that.
    """
    audio_end = max(1, int(audio_seconds * 1000))
    # A cue that ends where it starts is never shown: the last one has a millisecond at least.
    starts = list(accumulate((min(round(cue.start * 1000), audio_end - 1) for cue in cues), max))
    timed = []
    for position, (cue, start) in enumerate(zip(cues, starts, strict=True)):
        end = _readable_end(cue, start)
        if position + 1 < len(cues):
            end = min(end, _latest_end(cue, start, cues[position + 1], starts[position + 1]))
        timed.append(replace(cue, start=start / 1000, end=min(end, audio_end) / 1000))
    return timed


def _readable_end(cue: Cue, start: int) -> int:
    """Milliseconds at which the cue's words are spoken and read."""
    columns = sum(map(display_columns, cue.lines))
    reading_seconds = max(MIN_SECONDS, columns / COLUMNS_PER_SECOND)
    end = max(round(cue.end * 1000), start + round(reading_seconds * 1000))
    return min(end, start + round(MAX_SECONDS * 1000))


def _latest_end(cue: Cue, start: int, following: Cue, following_start: int) -> int:
    """Milliseconds at which the cue must make place for the next one."""
    # Who is talked over stays on screen; nobody talks over themselves.
    is_talked_over = following.speaker != cue.speaker
    end = max(following_start, round(cue.end * 1000)) if is_talked_over else following_start
    return max(end, start + 1)
