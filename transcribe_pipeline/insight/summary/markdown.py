"""A summary as Markdown, for the preview in the UI and as a file: what a model or a speaker wrote acts in neither."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeVar

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.export.markdown import escaped
from transcribe_pipeline.export.script import clean, short_clock
from transcribe_pipeline.insight.labels import how_made
from transcribe_pipeline.insight.names import named
from transcribe_pipeline.insights import ActionItem, Decision, SpeakerRole, Statement, Summary, Topic

Shown = TypeVar("Shown")

_MOST_TIMES: Final = 3
"""Shown of a statement's citations."""


def markdown(summary: Summary, names: Mapping[str, str], transcript: Transcript) -> str:
    """With names instead of labels, and after every statement the times at which it was said.

    :param names: label -> the name that people gave; others keep their label.
    """
    return "\n".join([*_Writer(names, transcript).lines(summary), ""])


class _Writer:
    def __init__(self, names: Mapping[str, str], transcript: Transcript) -> None:
        self._names = names
        self._transcript = transcript

    def lines(self, summary: Summary) -> Iterator[str]:
        if summary.bottom_line is None:
            yield "Nothing that could be summarised is said."
        else:
            yield f"**{self._text(summary.bottom_line.text)}**{self._times(summary.bottom_line)}"
        if summary.brief_summary:
            yield ""
            yield " ".join(map(self._said, summary.brief_summary))
        yield from self._section("Decisions", summary.decisions, self._decision)
        yield from self._section("Action items", summary.action_items, self._action)
        yield from self._section("Follow-ups", summary.follow_ups, self._said)
        yield from self._section("Key points", summary.key_points, self._said)
        for topic in summary.major_topics:
            yield from self._topic(topic)
        yield from self._section("Speakers", summary.speakers, self._speaker)
        yield ""
        kind = (
            summary.content_type if summary.sentiment is None else f"{summary.content_type}, {summary.sentiment.label}"
        )
        yield f"*{self._text(kind.capitalize())}. {self._text(how_made(summary.made_by))}*"

    def _section(self, title: str, values: Iterable[Shown], line: Callable[[Shown], str]) -> Iterator[str]:
        shown = [f"- {line(value)}" for value in values]
        if shown:
            yield from ("", f"## {title}", "", *shown)

    def _topic(self, topic: Topic) -> Iterator[str]:
        times = f"{short_clock(topic.start)}–{short_clock(topic.end)}"  # noqa: RUF001
        yield from ("", f"## {self._text(topic.title)} ({times})", "", self._said(topic.summary), "")
        yield from (f"- {self._said(point)}" for point in topic.key_points)

    def _said(self, statement: Statement) -> str:
        return f"{self._text(statement.text)}{self._times(statement)}"

    def _decision(self, decision: Decision) -> str:
        who = ", ".join(decision.stakeholders)
        return f"{self._said(decision)}{f' – {self._text(who)}' if who else ''}"  # noqa: RUF001

    def _action(self, item: ActionItem) -> str:
        facts = ", ".join(filter(None, [item.owner, item.due, item.priority and f"{item.priority} priority"]))
        return f"{self._said(item)}{f' – {self._text(facts)}' if facts else ''}"  # noqa: RUF001

    def _speaker(self, role: SpeakerRole) -> str:
        facts = ", ".join(filter(None, [role.role, f"{role.talk_share:.0%} of the talk"]))
        said = "".join(f" {self._said(each)}" for each in role.contributions)
        return f"**{self._text(role.speaker)}** ({self._text(facts)}){said}"

    def _times(self, statement: Statement) -> str:
        """' [1:02] [3:04]'; empty for ids that this transcript does not have."""
        known = [each for each in statement.segments if each < len(self._transcript.segments)]
        times = dict.fromkeys(short_clock(self._transcript.segments[each].start) for each in known)
        return "".join(f" \\[{time}\\]" for time in [*times][:_MOST_TIMES])

    def _text(self, text: str) -> str:
        return escaped(clean(named(text, self._names)))
