"""What of the insights is on the transcript page, as data for its template.

What belongs here: which statements are shown, in which order, and to which moments they lead. What does not: markup
(`page.html`), and what is shown of the transcript itself (`__init__.py`).

Speakers inside texts are pieces of their own, with the position of the speaker: whoever renames a speaker on the page
renames them there too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from transcribe_pipeline.export.script import Script, clean, short_clock
from transcribe_pipeline.insight.citations import cited
from transcribe_pipeline.insight.labels import how_made, main_figures
from transcribe_pipeline.insight.names import around_labels
from transcribe_pipeline.insights import (
    ActionItem,
    AskedQuestion,
    Decision,
    Insights,
    Questions,
    SpeakerRole,
    Statement,
    Summary,
    Topic,
)
from transcribe_pipeline.text.languages import language_tag

_MOST_JUMPS: Final = 3
"""Moments that a statement leads to: the first of each run of segments it cites."""


@dataclass(frozen=True)
class Piece:
    text: str
    lane: int | None = None
    """Position of the speaker whose name this is."""


Text = Sequence[Piece]


@dataclass(frozen=True)
class Jump:
    clock: str
    start: float


@dataclass(frozen=True)
class Item:
    """A statement, and what belongs to it."""

    text: Text
    jumps: Sequence[Jump] = ()
    facts: Sequence[tuple[str, Text]] = ()
    """('Owner', who), ('Due', when), ..."""
    inside: Sequence["Item"] = ()


@dataclass(frozen=True)
class Part:
    """A heading with its statements; empty ones are not shown."""

    title: str
    items: Sequence[Item]
    language: str
    is_open: bool = False
    made: str = ""
    """How it was made, where that is not what stands above."""


@dataclass(frozen=True)
class Overview:
    """What stands above the transcript."""

    bottom_line: Item | None
    brief: Sequence[Item]
    language: str
    """Of these two."""
    about: str
    made: str
    """How the summary was made; empty where there is none, as `about`."""
    parts: Sequence[Part]
    figures: Sequence[tuple[str, str]]


class Shown:
    """The insights of one script, ready to be shown."""

    def __init__(self, script: Script, insights: Insights) -> None:
        self._transcript = script.transcript
        self._names: Mapping[str, str] = script.names
        self._lanes = {speaker.label: lane for lane, speaker in enumerate(script.transcript.speakers)}
        self._insights = insights

    def chapters(self) -> Part | None:
        """Each leads to its beginning; None without any."""
        found = self._insights.chapters
        if found is None or not found.chapters:
            return None
        items = [Item(self._text(each.title), [_jump(each.start)]) for each in found.chapters]
        return Part("Chapters", items, language_tag(found.language), made=how_made(found.made_by))

    def overview(self) -> Overview | None:
        """None where there is nothing to show."""
        summary, questions, analytics = self._insights.summary, self._insights.questions, self._insights.analytics
        bottom_line = summary.bottom_line if summary else None
        brief = summary.brief_summary if summary else ()
        parts = [*(self._of_summary(summary) if summary else ()), *(self._of_questions(questions) if questions else ())]
        parts = [part for part in parts if part.items]
        figures = main_figures(analytics) if analytics else []
        if not (bottom_line or brief or parts or figures):
            return None
        return Overview(
            bottom_line=self._statement(bottom_line) if bottom_line else None,
            brief=self._statements(brief),
            language=language_tag(summary.language) if summary else "",
            about=_about(summary) if summary else "",
            made=how_made(summary.made_by) if summary else "",
            parts=parts,
            figures=figures,
        )

    # --- summary ---

    def _of_summary(self, summary: Summary) -> Iterator[Part]:
        language = language_tag(summary.language)
        decisions = [self._decision(each) for each in summary.decisions]
        tasks = [self._action_item(each) for each in summary.action_items]
        topics = [self._topic(each) for each in summary.major_topics]
        roles = [self._role(each) for each in summary.speakers if each.role or each.contributions]
        yield Part("Key points", self._statements(summary.key_points), language, is_open=True)
        yield Part("Decisions", decisions, language, is_open=True)
        yield Part("Action items", tasks, language, is_open=True)
        yield Part("To follow up", self._statements(summary.follow_ups), language, is_open=True)
        yield Part("Topics", topics, language)
        yield Part("Contributions", roles, language)

    def _decision(self, decision: Decision) -> Item:
        return self._statement(
            decision, _given(Context=self._text(decision.context), Stakeholders=self._list(decision.stakeholders))
        )

    def _action_item(self, item: ActionItem) -> Item:
        facts = _given(Owner=self._text(item.owner), Due=self._text(item.due), Priority=self._text(item.priority))
        return self._statement(item, facts)

    def _topic(self, topic: Topic) -> Item:
        inside = [self._statement(topic.summary), *self._statements(topic.key_points)]
        return Item(self._text(topic.title), [_jump(topic.start)], inside=inside)

    def _role(self, role: SpeakerRole) -> Item:
        facts = _given(Role=self._text(role.role))
        return Item(self._text(role.speaker), facts=facts, inside=self._statements(role.contributions))

    # --- questions ---

    def _of_questions(self, questions: Questions) -> Iterator[Part]:
        language, made = language_tag(questions.language), how_made(questions.made_by)
        answered = [self._question(each) for each in questions.asked if each.answer]
        left_open = [self._question(each) for each in questions.asked if not each.answer]
        unclear = [Item(self._text(each.question), [_jump(each.start)]) for each in questions.clarifications]
        yield Part("Questions answered", answered, language, made=made)
        yield Part("Questions left open", left_open, language, made=made)
        yield Part("To ask next", self._statements(questions.next), language, made=made)
        yield Part("Times to make clear", unclear, language, made=made)

    def _question(self, question: AskedQuestion) -> Item:
        answer = question.answer
        inside = [Item(self._text(answer.text), [_jump(answer.start)])] if answer else []
        facts = _given(By=self._text(question.speaker))
        return Item(self._text(question.text), [_jump(question.start)], facts, inside)

    # --- statements ---

    def _statements(self, statements: Iterable[Statement]) -> list[Item]:
        return [self._statement(each) for each in statements]

    def _statement(self, statement: Statement, facts: Sequence[tuple[str, Text]] = ()) -> Item:
        return Item(self._text(statement.text), list(self._jumps(statement.segments)), facts)

    def _jumps(self, segments: Sequence[int]) -> Iterator[Jump]:
        there = cited(segments, self._transcript)
        before = [None, *(segment.id for segment in there)]
        runs = [segment.start for last, segment in zip(before, there, strict=False) if segment.id - 1 != last]
        return map(_jump, runs[:_MOST_JUMPS])

    def _list(self, texts: Sequence[str]) -> Text:
        """'Ann, Bob'."""
        return self._text(", ".join(texts))

    def _text(self, text: str | None) -> Text:
        pieces = around_labels(clean(text or ""))
        return [
            Piece(self._names.get(piece, piece), self._lanes.get(piece)) if position % 2 else Piece(piece)
            for position, piece in enumerate(pieces)
            if piece
        ]


def _about(summary: Summary) -> str:
    """'Type: call · Sentiment: positive'."""
    told = {"Type": summary.content_type, "Sentiment": summary.sentiment.label if summary.sentiment else ""}
    return " · ".join(f"{name}: {value}" for name, value in told.items() if value)


def _given(**facts: Text) -> list[tuple[str, Text]]:
    return [(name, text) for name, text in facts.items() if text]


def _jump(start: float) -> Jump:
    return Jump(short_clock(start), round(start, 2))
