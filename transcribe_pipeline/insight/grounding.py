"""Is a statement borne out by the segments that it cites? Nothing a model says is published otherwise.

What is checked is what can be told without understanding: the citations exist, the statement's words and numbers are
those of the cited segments, its names are the transcript's, it is plain text. Whether it says the same with these words
('they will' for 'they will not') is not checked: hence the citation, for people to listen to.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final

from pydantic import BaseModel

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insight import numerals, plain_text, wording
from transcribe_pipeline.insight.terms import stop_words, terms
from transcribe_pipeline.insights import ActionItem, Answer, AskedQuestion, Insight, Statement
from transcribe_pipeline.search.tokens import fold, tokens

MOST_CITED: Final = 24
"""A statement that cites more segments cites nothing that a reader could look up."""
NEIGHBOURS: Final = 1
"""Segments before and after a cited one that count with it: sentences lean on each other ('Yes.', 'He did.')."""
LEAST_SHARE: Final = 0.5
"""Of a statement's terms that the cited segments have.

One of these is no name: 'Helen was fired' must not pass wherever Helen is mentioned.

Measured on 49 statements about a meeting, a reading and a telephone call, written by a large language model
(`tests/insight/statements.py`), with all checks: 90 % of them pass with their true citations, 3 % with others of the
same recording five or more segments away, and none of 30 invented ones. Were names enough, 94 % and 4 % would pass, and
71 % of made-up claims in two words about somebody who is mentioned. A share of 0.4 passes 90 % and 9 %, 0.6 82 % and
2 %.
"""
_LIKE_NAME: Final = 75
"""rapidfuzz's ratio from which a name is another's spelling: 'München' is 'Munich', but 'Moskau' is not 'Moscow'."""
_LONGEST_NAME: Final = 80
_LABEL: Final = re.compile(r"\bSPEAKER_\d{2,}\b")


class Grounding:
    """Checks statements against one transcript.

    In another language than the transcript's the words of a statement cannot be compared. Then it is checked that it
    cites existing segments, is plain text, has no numbers that the cited segments have not, and no names that are not
    like one of the transcript's in Latin letters.
    """

    def __init__(self, transcript: Transcript, *, output_language: str | None = None) -> None:
        """:param output_language: of the statements, where it is not the transcript's."""
        self._transcript = transcript
        self._language = transcript.language
        self._output_language = output_language or transcript.language
        self._is_translated = self._output_language != self._language

    def objection(self, text: str, segments: Sequence[int]) -> str | None:
        """Why `text` must not be published with these citations; None if they bear it out."""
        cited = self.citations(segments)
        if not cited or len(cited) != len(set(segments)):
            return "cites segments that do not exist" if segments else "cites nothing"
        if len(cited) > MOST_CITED:
            return f"cites more than {MOST_CITED} segments"
        if wrong := plain_text.objection(text):
            return wrong
        if self._is_quoted(text, cited):
            return None
        near, bare = self._with_neighbours(cited), _LABEL.sub("", text)
        return (
            self._strange_label(text, near)
            or self._strange_number(bare, near)
            or self._strange_name(bare)
            or self._strange_words(bare, near)
        )

    def name(self, name: str) -> str | None:
        """The name as the transcript has it (or a speaker's label); None if it does not occur there."""
        name = name.strip()
        if name in self._labels:
            return name
        wanted = [token.text for token in tokens(name)]
        if len(name) > _LONGEST_NAME or not wanted or plain_text.objection(name):
            return None
        found = list(self._occurrences(wanted))
        as_name = next((text for text, opens in found if text[0].isupper() and not opens), None)
        if as_name is None and all(word in stop_words(self._language) for word in wanted):
            return None
        return as_name or next((text for text, _ in found if text[0].isupper()), found[0][0] if found else None)

    def speaker(self, label: str) -> str:
        """The label, if a speaker of the transcript has it; else ''."""
        return label.strip() if label.strip() in self._labels else ""

    def title_objection(self, title: str, segments: Sequence[int]) -> str | None:
        """Why what these segments are about must not be called so. Case says nothing about a title's words."""
        near = self._with_neighbours(self.citations(segments))
        if wrong := plain_text.objection(title) or self._strange_number(title, near):
            return wrong
        if self._is_translated:
            return self._strange_name(title)
        said = set(terms(title, self._language)) - wording.reporting(self._language)
        heard = {term for each in near for term in self._terms[each]}
        return None if said <= heard else "words that were not said there"

    def is_said(self, words: str, segments: Sequence[int]) -> bool:
        """Do these words, in this order, stand in one of the segments or beside it?"""
        near = self._with_neighbours(self.citations(segments))
        return plain_text.objection(words) is None and any(self._is_quoted(words, (each,)) for each in near)

    def citations(self, segments: Iterable[int]) -> tuple[int, ...]:
        """Those that are ids of segments, rising, each once."""
        known = len(self._transcript.segments)
        return tuple(sorted({each for each in segments if 0 <= each < known}))

    def _is_quoted(self, text: str, cited: Sequence[int]) -> bool:
        words = fold(text)
        return bool(words) and f" {words} " in f" {' '.join(fold(self._transcript.segments[i].text) for i in cited)} "

    # --- what may be wrong ------------------------------------------------------------------------------------------

    def _strange_label(self, text: str, near: Sequence[int]) -> str | None:
        labels = set(_LABEL.findall(text))
        if strange := labels - self._labels:
            return f"no speaker is called {min(strange)}"
        heard = {self._transcript.segments[each].speaker for each in near}
        return "speakers who do not speak there" if labels and not labels & heard else None

    def _strange_number(self, text: str, near: Sequence[int]) -> str | None:
        said = numerals.said(text, self._output_language)
        heard = {number for each in near if said for number in self._numbers(each)}
        return None if said <= heard else "a number that was not said there"

    def _strange_name(self, text: str) -> str | None:
        for name in wording.names(text, self._output_language):
            if not self._knows(name):
                return "a name that does not occur"
        return None

    def _strange_words(self, text: str, near: Sequence[int]) -> str | None:
        if self._is_translated:
            return None
        said = set(terms(text, self._language)) - wording.reporting(self._language)
        if not said:
            return "says nothing"
        names = {term for name in wording.names(text, self._language) for term in terms(name, self._language)}
        heard = said & {term for each in near for term in self._terms[each]}
        is_about_names = said <= names and len(heard) > 1
        if len(heard) >= LEAST_SHARE * len(said) and (heard - names or is_about_names):
            return None
        return "words that were not said there"

    # --- what the transcript has ------------------------------------------------------------------------------------

    def _with_neighbours(self, cited: Sequence[int]) -> tuple[int, ...]:
        reach = range(-NEIGHBOURS, NEIGHBOURS + 1)
        return self.citations(each + step for each in cited for step in reach)

    def _knows(self, name: str) -> bool:
        words = [token.text for token in tokens(name)]
        if all(word in self._vocabulary for word in words):
            return True
        if all(term in self._all_terms for term in terms(name, self._language) or [""]):
            return True
        return self._is_translated and self._sounds_known(name)

    def _sounds_known(self, name: str) -> bool:
        from rapidfuzz import fuzz, process

        plain = _in_latin(name)
        known = process.extractOne(plain, self._in_latin, scorer=fuzz.ratio, score_cutoff=_LIKE_NAME)
        return bool(plain) and known is not None

    def _occurrences(self, wanted: Sequence[str]) -> Iterator[tuple[str, bool]]:
        """The places where the words follow each other: as they are written there, and whether they open a segment."""
        rarest = min(wanted, key=lambda word: len(self._places.get(word, ())))
        for segment in dict.fromkeys(self._places.get(rarest, ())):
            text = self._transcript.segments[segment].text
            found = tokens(text)
            for i in range(len(found) - len(wanted) + 1):
                if [token.text for token in found[i : i + len(wanted)]] == list(wanted):
                    yield text[found[i].start : found[i + len(wanted) - 1].end], i == 0

    @cached_property
    def _labels(self) -> frozenset[str]:
        speakers = {speaker.label for speaker in self._transcript.speakers}
        return frozenset(speakers | {segment.speaker for segment in self._transcript.segments if segment.speaker})

    @cached_property
    def _terms(self) -> list[frozenset[str]]:
        return [frozenset(terms(segment.text, self._language)) for segment in self._transcript.segments]

    @cached_property
    def _all_terms(self) -> frozenset[str]:
        return frozenset().union(*self._terms)

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        """Token -> segments that have it."""
        places: dict[str, list[int]] = {}
        for segment in self._transcript.segments:
            for token in tokens(segment.text):
                places.setdefault(token.text, []).append(segment.id)
        return places

    @property
    def _vocabulary(self) -> dict[str, list[int]]:
        return self._places

    @cached_property
    def _in_latin(self) -> list[str]:
        words = {word.text for segment in self._transcript.segments for word in segment.words}
        return sorted({plain for word in words if (plain := _in_latin(word))})

    def _numbers(self, segment: int) -> frozenset[int]:
        return numerals.meant(self._transcript.segments[segment].text, self._language)


def _in_latin(word: str) -> str:
    from slugify import slugify

    return slugify(word, separator="")


# --- whole insights -------------------------------------------------------------------------------------------------


def unsupported(insight: Insight, transcript: Transcript) -> list[str]:
    """What of a published insight does not hold, one sentence for each; empty: every statement is borne out."""
    grounding = Grounding(transcript, output_language=insight.language)
    return [f"{place}: {wrong}" for place, wrong in _wrongs(insight, type(insight).__name__, grounding)]


def _wrongs(value: Any, place: str, grounding: Grounding) -> Iterator[tuple[str, str]]:
    if isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from _wrongs(item, f"{place}[{i}]", grounding)
    if not isinstance(value, BaseModel):
        return
    if (wrong := _wrong(value, grounding)) is not None:
        yield place, wrong
    for name in type(value).model_fields:
        yield from _wrongs(getattr(value, name), f"{place}.{name}", grounding)


def _wrong(value: BaseModel, grounding: Grounding) -> str | None:
    """What is wrong with this value itself, whatever it holds."""
    segments: tuple[int, ...] = getattr(value, "segments", ())
    if grounding.citations(segments) != segments:
        return "cites segments that do not exist"
    if isinstance(value, Statement | AskedQuestion | Answer) and (wrong := grounding.objection(value.text, segments)):
        return wrong
    if isinstance(value, ActionItem) and value.due and not grounding.is_said(value.due, segments):
        return "a time that was not said there"
    people = (value.owner,) if isinstance(value, ActionItem) else getattr(value, "stakeholders", ())
    return "somebody who does not occur" if any(each and not grounding.name(each) for each in people) else None
