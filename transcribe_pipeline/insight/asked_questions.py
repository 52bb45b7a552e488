"""The questions that are asked in a recording, and what was answered: in the words of the transcript, without a model.

An answer is what somebody else says to a question within half a minute, unless it asks in turn, only shows that they
listen, or says that they do not know. With one speaker (a lecture), or where speakers are not told apart, it is what
follows and takes up the question's words. Without understanding, both may be wrong.

What does not belong here: how questions look (`question_forms`), and what a model makes of them (`questions`).
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from transcribe_pipeline.artifacts import Transcript, TranscriptSegment
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight import question_forms as forms
from transcribe_pipeline.insight.analytics.questions import Questions as Detector
from transcribe_pipeline.insight.terms import terms
from transcribe_pipeline.insights import Answer, AskedQuestion
from transcribe_pipeline.text.words import ends_clause, join_words

MOST_PARTS: Final = 4
"""Segments of one question, and of one answer."""
_REACH_SECONDS: Final = 30.0
"""From the end of a question to the start of its answer. Most answers begin within 2 s (Stivers et al. 2009, PNAS
106:26, ten languages); the rest is for askers who go on talking, and for people who have to think."""
_REACH_SEGMENTS: Final = 12
_OWN_REACH_SEGMENTS: Final = 3
"""Where the same speaker may answer, or nobody knows who speaks."""
_PAUSE_SECONDS: Final = 3.0
"""Ends an answer, and parts questions that follow each other."""


class Asked:
    """The questions of one transcript."""

    def __init__(self, transcript: Transcript) -> None:
        self._segments = transcript.segments
        self._language = transcript.language
        self._speakers_are_told = len({segment.speaker for segment in self._segments} - {None}) > 1
        self._told_by = Detector.of(transcript)
        self._asks = [self._is_question(segment) for segment in self._segments]

    def questions(self) -> tuple[AskedQuestion, ...]:
        """In order of time."""
        return tuple(self.question(parts, self._answer(parts)) for parts in self._groups())

    def question(self, parts: Sequence[int], answer: Sequence[int]) -> AskedQuestion:
        """:param parts: positions of its segments.
        :param answer: of the answer's; none where it is left open.
        """
        first = self._segments[parts[0]]
        return AskedQuestion(
            text=self._text(parts),
            speaker=first.speaker,
            start=first.start,
            segments=tuple(parts),
            answer=Answer(text=self._text(answer), start=self._segments[answer[0]].start, segments=tuple(answer))
            if answer
            else None,
        )

    def may_answer(self, parts: Sequence[int], answer: Sequence[int]) -> bool:
        """Can these segments, named by somebody who understood, be the answer? They follow the question, are not all
        questions or shows of ignorance, and are near, or have a word of the question."""
        if not answer or min(answer) <= parts[-1] or max(answer) >= len(self._segments):
            return False
        if max(answer) - min(answer) >= _REACH_SEGMENTS or all(self._says_nothing(each, parts) for each in answer):
            return False
        return self._in_reach(parts, min(answer)) or any(self._takes_up(parts, each) for each in answer)

    # --- questions --------------------------------------------------------------------------------------------------

    def _is_question(self, segment: TranscriptSegment) -> bool:
        return (
            self._told_by is not None
            and not segment.doubts
            and self._told_by.count(segment.text) > 0
            and forms.wants_answer(segment.text, self._language)
        )

    def _groups(self) -> Iterator[tuple[int, ...]]:
        """Questions that nobody else speaks between are one: people put them in several ways."""
        group: list[int] = []
        for i in (i for i, asks in enumerate(self._asks) if asks):
            if group and not (len(group) < MOST_PARTS and self._continues(group[-1], i)):
                yield self._from_its_beginning(group)
                group = []
            group.append(i)
        if group:
            yield self._from_its_beginning(group)

    def _continues(self, before: int, question: int) -> bool:
        between = self._segments[before : question + 1]
        if question - before > 1 and not self._speakers_are_told:
            return False
        return (
            question - before <= 2
            and len({segment.speaker for segment in between}) == 1
            and all(right.start - left.end < _PAUSE_SECONDS for left, right in pairwise(between))
        )

    def _from_its_beginning(self, group: list[int]) -> tuple[int, ...]:
        """With the segments before, where a long sentence was cut into several."""
        parts = list(group)
        while parts[0] > 0 and len(parts) < MOST_PARTS:
            before, first = self._segments[parts[0] - 1], self._segments[parts[0]]
            # Sentences are cut at clauses, and a recogniser that writes no marks says nothing by their lack.
            is_cut = ends_clause(before.text) and before.speaker == first.speaker and not before.doubts
            if not is_cut or first.start - before.end >= _PAUSE_SECONDS:
                break
            parts.insert(0, parts[0] - 1)
        return tuple(parts)

    # --- answers ----------------------------------------------------------------------------------------------------

    def _answer(self, parts: tuple[int, ...]) -> list[int]:
        """Positions of the segments that answer; none where it is left open."""
        reach = _REACH_SEGMENTS if self._speakers_are_told else _OWN_REACH_SEGMENTS
        is_unknown = False
        for i in range(parts[-1] + 1, min(parts[-1] + 1 + reach, len(self._segments))):
            if not self._in_reach(parts, i):
                break
            # After 'I don't know', what others say next is mostly about something else.
            if self._answers(parts, i) and (not is_unknown or self._takes_up(parts, i)):
                return self._to_its_end(parts, i)
            is_unknown |= forms.says_unknown(self._segments[i].text, self._language)
        return []

    def _in_reach(self, parts: Sequence[int], i: int) -> bool:
        return self._segments[i].start - self._segments[parts[-1]].end <= _REACH_SECONDS

    def _answers(self, parts: Sequence[int], i: int) -> bool:
        segment = self._segments[i]
        if segment.doubts or self._says_nothing(i, parts):
            return False
        if self._speakers_are_told:
            return segment.speaker != self._segments[parts[-1]].speaker
        return self._is_short_answer(parts, segment) or self._takes_up(parts, i)

    def _says_nothing(self, i: int, parts: Sequence[int]) -> bool:
        segment = self._segments[i]
        if self._asks[i] or forms.says_unknown(segment.text, self._language):
            return True
        return not self._is_short_answer(parts, segment) and forms.only_listens(segment.text, self._language)

    def _is_short_answer(self, parts: Sequence[int], segment: TranscriptSegment) -> bool:
        """Yes or no, to a question that yes or no can answer."""
        wants_more = any(forms.asks_for_more(self._segments[each].text, self._language) for each in parts)
        return not wants_more and forms.is_short_reply(segment.text, self._language)

    def _takes_up(self, parts: Sequence[int], i: int) -> bool:
        asked = {term for each in parts for term in terms(self._segments[each].text, self._language)}
        return not asked.isdisjoint(terms(self._segments[i].text, self._language))

    def _to_its_end(self, question: Sequence[int], first: int) -> list[int]:
        """What the answerer goes on to say, across others' back-channels."""
        parts = [first]
        for i in range(first + 1, len(self._segments)):
            segment, last = self._segments[i], self._segments[parts[-1]]
            if len(parts) == MOST_PARTS or segment.start - last.end >= _PAUSE_SECONDS or self._asks[i]:
                break
            if segment.speaker == last.speaker and not segment.doubts:
                parts.append(i)
            elif not forms.only_listens(segment.text, self._language):
                break
        return parts

    def _text(self, parts: Sequence[int]) -> str:
        return clean(join_words((self._segments[each].text for each in parts), self._language))
