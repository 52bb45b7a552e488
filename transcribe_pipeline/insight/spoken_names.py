"""Names that are said, and whose they seem to be: 'this is Diane', 'thanks, Bob', 'please welcome Ann Lee'.

What belongs here: what single sentences tell. What does not: what they amount to together (`speaker_names`).

Names are told by their capitals, as recognisers write them; a transcript that has none, or nothing else, yields none.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Final, NamedTuple

from transcribe_pipeline.artifacts import Transcript, TranscriptSegment
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight.name_cues import CUES
from transcribe_pipeline.insight.person_names import name_in
from transcribe_pipeline.insights import NameSource
from transcribe_pipeline.text.words import ends_sentence

_MOST_QUOTED: Final = 90
_OPENING_SECONDS: Final = 60.0
"""From a speaker's first word: that is when people say who they are."""
_ANSWER_SECONDS: Final = 20.0
"""Somebody who is spoken to speaks within this time, or has just spoken."""
_INTRODUCTION_SECONDS: Final = 180.0
"""Hosts go on for a while after they have introduced somebody."""

_CLOSED = re.compile(r"[\"'”’)]*(?:[,.!?;:…—–-]|$)")  # noqa: RUF001
"""After a name: the phrase is over."""
_STOP = re.compile(r"[.!?…]+")
_ENDS = re.compile(r"[\"'”’)]*[.!?…]*$")  # noqa: RUF001
_LISTS = re.compile(r"(?<=[\w,] )[A-Z]\w*$|\band \w+$")
"""Before the last comma: a list of names ends in one more, that of nobody who is spoken to."""
_REPORTS = re.compile(r"\b(?:said|says?|saying|goes|went|like|told \w+)[,:]? [\"'“‘]?$", re.IGNORECASE)  # noqa: RUF001
_LOWEST_LOWER_SHARE: Final = 0.3
"""Of all words; where fewer are in lower case (headlines, shouted subtitles), capitals tell nothing."""

# How likely it is that the name is the speaker's, by what is said. By judgement; `speaker_names.suggested` tells what
# they come to in real conversations.
_MY_NAME_IS, _I_AM, _I_AM_LATER, _THIS_IS, _THIS_IS_LATER, _HERE = 0.9, 0.8, 0.6, 0.75, 0.3, 0.6
_WELCOMED, _WELCOMED_OF_TWO, _WELCOMED_OLD, _WELCOMED_LATER = 0.65, (0.45, 0.25), 0.35, 0.4
_OVER_TO = 0.6
_DOUBTFUL, _REPORTED, _PLACE = 0.5, 0.4, 0.3
"""Factors: the recogniser doubts the words; somebody is quoted ('she said: I'm Ann'); 'in Austin' is said, too."""


@dataclass(frozen=True)
class Evidence:
    """Something that speaks for a name."""

    label: str
    name: str
    weight: float
    """Probability that the name is the speaker's, were this all that is known."""
    source: NameSource
    segments: tuple[int, ...]
    reason: str
    """One sentence for people."""
    said_by: str | None = None
    """Who says it, where that is a speaker."""


class _Near(NamedTuple):
    """Who may be spoken to, with the likelihoods."""

    before: float
    after: float


_THANKS_OPENING, _THANKS = _Near(0.55, 0.2), _Near(0.35, 0.35)
_GREETING, _ASKED, _SPOKEN_TO = _Near(0.25, 0.45), _Near(0.1, 0.5), _Near(0.25, 0.3)


def evidence(transcript: Transcript) -> Iterator[Evidence]:
    """All that is said about speakers' names, in order of time. Linear in the length of the transcript."""
    if transcript.language not in CUES or not _capitals_tell(transcript):
        return
    listener = _Listener(transcript)
    for segment in transcript.segments:
        if segment.speaker is not None:
            yield from listener.hear(segment, segment.speaker)


def _capitals_tell(transcript: Transcript) -> bool:
    words = [word for segment in transcript.segments[:400] for word in segment.text.split() if word[:1].isalpha()]
    lower = sum(word[0].islower() for word in words)
    return _LOWEST_LOWER_SHARE * len(words) <= lower < len(words)


# --- who is meant ---------------------------------------------------------------------------------------------------


@cache
def _cue(language: str) -> re.Pattern[str]:
    """One group for each kind of cue, the most telling first; ends where a name would begin."""
    cues = CUES[language]
    kinds = ("my_name_is", "welcome", "over_to", "this_is", "i_am", "thanks", "greeting")
    groups = "|".join(f"(?P<{kind}>{getattr(cues, kind)})" for kind in kinds)
    return re.compile(rf"(?<![\w'’-])(?:{groups})(?:,? )", re.IGNORECASE)  # noqa: RUF001


@cache
def _words(language: str, kind: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w'’-])(?:{getattr(CUES[language], kind)})(?![\w'’-])", re.IGNORECASE)  # noqa: RUF001


class _Listener:
    def __init__(self, transcript: Transcript) -> None:
        self._segments = transcript.segments
        self._language = transcript.language
        self._first_of: dict[str, int] = {}
        for segment in transcript.segments:
            if segment.speaker is not None:
                self._first_of.setdefault(segment.speaker, segment.id)
        self._other_before = _others(transcript.segments)
        mirrored = _others(transcript.segments[::-1])
        self._other_after = [None if i is None else len(mirrored) - 1 - i for i in reversed(mirrored)]

    def hear(self, segment: TranscriptSegment, speaker: str) -> Iterator[Evidence]:
        factor = _DOUBTFUL if segment.doubts else 1.0
        for each in self._hear(segment, speaker):
            place = _PLACE if each.name.split()[0] in self._places else 1.0
            weight = each.weight * factor * (place if each.source != "is introduced" else 1.0)
            yield replace(each, weight=round(weight, 4), said_by=speaker)

    def _hear(self, segment: TranscriptSegment, speaker: str) -> Iterator[Evidence]:
        text = clean(segment.text)
        heard = set[str]()
        for cue in _cue(self._language).finditer(text):
            found = name_in(text, cue.end())
            if found is None:
                continue
            name, end = found
            heard.add(name)
            yield from self._after_cue(segment, speaker, cue, name, end)
        for start, end in _sentences(text):
            yield from self._in_sentence(segment, speaker, text[start:end], heard)

    def _after_cue(
        self, segment: TranscriptSegment, speaker: str, cue: re.Match[str], name: str, end: int
    ) -> Iterator[Evidence]:
        text, kind = cue.string, str(cue.lastgroup)
        quote = _quote(text, cue.start(), end)
        is_new = segment.start - self._segments[self._first_of[speaker]].start <= _OPENING_SECONDS
        match kind:
            case "my_name_is" | "i_am" | "this_is":
                weight = self._weight_of_own(kind, text, end, is_new=is_new)
                if _REPORTS.search(text[max(cue.start() - _MOST_QUOTED, 0) : cue.start()]):
                    weight *= _REPORTED
                if weight:
                    yield Evidence(speaker, name, weight, "introduces themselves", (segment.id,), f"Says “{quote}”.")
            case "welcome":
                yield from self._introduced(segment, speaker, name, quote)
            case "over_to":
                yield from self._addressed(segment, speaker, name, quote, _Near(0.0, _OVER_TO))
            case "greeting":
                yield from self._addressed(segment, speaker, name, quote, _GREETING)
            case "thanks":
                yield from self._addressed(segment, speaker, name, quote, self._thanked(segment))

    def _weight_of_own(self, kind: str, text: str, end: int, *, is_new: bool) -> float:
        if kind == "my_name_is":
            return _MY_NAME_IS
        if not (_CLOSED.match(text, end) or _words(self._language, "goes_on").match(text, end + 1)):
            return 0.0
        if kind == "i_am":
            return _I_AM if is_new else _I_AM_LATER
        return _THIS_IS if is_new else _THIS_IS_LATER

    def _in_sentence(
        self, segment: TranscriptSegment, speaker: str, sentence: str, heard: set[str]
    ) -> Iterator[Evidence]:
        """'What do you think, Bob?', 'Bob, what do you think?', 'Bob speaking.': names after no cue."""
        first = name_in(sentence)
        if first and first[0] not in heard and first[0].split()[0] in self._capitalised:
            name, end = first
            suffix = _words(self._language, "here").match(sentence, end + 1)
            if suffix and _CLOSED.match(sentence, suffix.end()):
                reason = f"Says “{_quote(sentence, 0, suffix.end())}”."
                yield Evidence(speaker, name, _HERE, "introduces themselves", (segment.id,), reason)
            elif sentence[end : end + 1] == ",":
                yield from self._vocative(segment, speaker, sentence, name)
        comma = sentence.rfind(", ")
        last = name_in(sentence, comma + 2) if comma > 0 else None
        if last and last[0] not in heard and _ENDS.match(sentence, last[1]) and not _LISTS.search(sentence, 0, comma):
            yield from self._vocative(segment, speaker, sentence, last[0])

    def _vocative(self, segment: TranscriptSegment, speaker: str, sentence: str, name: str) -> Iterator[Evidence]:
        if "?" in sentence[-3:]:
            near = _ASKED
        elif _words(self._language, "thanks").search(sentence):
            near = self._thanked(segment)
        elif _words(self._language, "you").search(sentence):
            near = _SPOKEN_TO
        else:
            return
        yield from self._addressed(segment, speaker, name, _quote(sentence, 0, len(sentence)), near)

    def _thanked(self, segment: TranscriptSegment) -> _Near:
        """Who takes the floor thanks for it; later, and before giving it away, it may be either."""
        opens = self._other_before[segment.id] == segment.id - 1
        return _THANKS_OPENING if opens else _THANKS

    def _addressed(
        self, segment: TranscriptSegment, speaker: str, name: str, quote: str, near: _Near
    ) -> Iterator[Evidence]:
        weights: dict[str, float] = {}
        for other, weight in (
            (self._other_before[segment.id], near.before),
            (self._other_after[segment.id], near.after),
        ):
            if other is not None and _gap(segment, self._segments[other]) <= _ANSWER_SECONDS:
                label = self._segments[other].speaker or ""
                weights[label] = weights.get(label, 0.0) + weight
        for label, weight in weights.items():
            if weight:
                reason = f"{speaker} says “{quote}” next to them."
                yield Evidence(label, name, weight, "is addressed", (segment.id,), reason)

    def _introduced(self, segment: TranscriptSegment, speaker: str, name: str, quote: str) -> Iterator[Evidence]:
        for position, weight in self._after_introduction(segment.id):
            other = self._segments[position]
            if _gap(segment, other) <= _INTRODUCTION_SECONDS:
                reason = f"{speaker} says “{quote}” before they speak."
                yield Evidence(other.speaker or "", name, weight, "is introduced", (segment.id,), reason)

    def _after_introduction(self, position: int) -> list[tuple[int, float]]:
        """Where those first speak who may have been introduced, and the likelihoods: who is next, and who is new."""
        following = self._other_after[position]
        if following is None:
            return []
        firsts = list(self._first_of.values())
        new = firsts[bisect_right(firsts, position) :][:2]
        if following in new:
            weights = [_WELCOMED] if len(new) == 1 else _WELCOMED_OF_TWO
            return list(zip(new, weights, strict=True))
        return [(following, _WELCOMED_OLD), *((each, _WELCOMED_LATER) for each in new[:1])]

    @cached_property
    def _places(self) -> frozenset[str]:
        """Words that follow 'in': Texas, but no Sheila."""
        inside = re.compile(rf"(?<!\w)(?:{CUES[self._language].inside}) (?=[^\W\d_])([^\W\d_]+)(?!['’])")  # noqa: RUF001
        return frozenset(found[1] for segment in self._segments for found in inside.finditer(segment.text))

    @cached_property
    def _capitalised(self) -> frozenset[str]:
        """Words with a capital that no beginning of a sentence gave them, and that have it everywhere."""
        inner = re.compile(r"(?<=[\w,;] )[^\W\d_]+")
        words = {found[0] for each in self._segments for found in inner.finditer(each.text)}
        return frozenset(word for word in words if word[0].isupper() and word.lower() not in words)


def _others(segments: Sequence[TranscriptSegment]) -> list[int | None]:
    """For each segment the position of the last one before it by another known speaker."""
    found: list[int | None] = []
    for i, segment in enumerate(segments):
        previous = segments[i - 1] if i else None
        if previous is None:
            found.append(None)
        elif previous.speaker is not None and previous.speaker != segment.speaker:
            found.append(i - 1)
        elif previous.speaker == segment.speaker:
            found.append(found[i - 1])
        else:  # nobody knows who spoke in between
            found.append(None)
    return found


def _gap(one: TranscriptSegment, other: TranscriptSegment) -> float:
    """Seconds between two segments; 0 where they overlap."""
    return max(one.start - other.end, other.start - one.end, 0.0)


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for word in re.finditer(r"\S+", text):
        if ends_sentence(word[0]):
            yield start, word.end()
            start = word.end() + 1
    if start < len(text):
        yield start, len(text)


def _quote(text: str, start: int, end: int) -> str:
    """What was said there, and the few words after it that belong to the sentence; without its full stop."""
    longest = start + _MOST_QUOTED
    stop = _STOP.search(text, end, longest)
    if stop or len(text) <= longest:
        return text[start : stop.end() if stop else len(text)].rstrip(".")
    return text[start:longest].rstrip() + "…"
