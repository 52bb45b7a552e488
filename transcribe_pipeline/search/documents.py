"""What is put into a search index, and nothing about how: a recording's current transcript with the names shown, and
beside it what its chapters are called and its summary says."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final, Literal

from transcribe_pipeline.artifacts import InsightStage, Transcript
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight.citations import cited
from transcribe_pipeline.insight.names import named
from transcribe_pipeline.insights import ActionItem, Insights, Statement, Summary

Kind = Literal["segment", "chapter", "summary"]
"""What a passage is: words that were said, the title of a chapter, a statement of the summary."""

INSIGHT_STAGES: Final[tuple[InsightStage, ...]] = ("chapters", "summary")
"""Those that passages are made of."""

SCHEMA = 1
"""Raised when documents of an older program must be indexed again."""


@dataclass(frozen=True)
class Passage:
    """One thing that can be found. `position` counts within its kind: a segment's is its id in the transcript."""

    kind: Kind
    position: int
    start: float
    end: float
    """Seconds in the media."""
    speaker: str | None
    """The transcript's label."""
    speaker_name: str
    """As people see it: the name, or the label; '' if unknown."""
    text: str


@dataclass(frozen=True)
class Chunk:
    """Consecutive segments whose meaning is compared as one, with its vector."""

    position: int
    first_segment: int
    last_segment: int
    """Inclusive."""
    vector: Sequence[float]
    """Unit length."""


@dataclass(frozen=True)
class MediaDocument:
    """Everything that the index holds of one media file."""

    partition_key: str
    owner: str
    file_name: str
    generation: int
    """Of the transcript version."""
    transcript_id: str
    language: str
    """ISO 639-1; 'und' without speech."""
    added_at: datetime
    """When the file was first registered; aware, UTC."""
    seconds: float
    """Length of the media."""
    names: Mapping[str, str]
    """Label -> name, of the speakers that have one."""
    passages: tuple[Passage, ...]
    insights: Mapping[InsightStage, int] = field(default_factory=dict)
    """Stage -> the version that passages are made of."""
    chunks: tuple[Chunk, ...] = ()
    embedding_model: str | None = None
    """Vectors of different models must never be compared."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what makes two documents differ: equal digests need no indexing."""
        return digest(
            owner=self.owner,
            file_name=self.file_name,
            transcript_id=self.transcript_id,
            names=self.names,
            embedding_model=self.embedding_model,
            insights=self.insights,
        )


def digest(
    *,
    owner: str,
    file_name: str,
    transcript_id: str,
    names: Mapping[str, str],
    embedding_model: str | None,
    insights: Mapping[InsightStage, int],
) -> str:
    """A transcript never changes, so its id and the names shown stand for its text; so do versions of insights, of
    which other stages than `INSIGHT_STAGES` do not count."""
    parts = [str(SCHEMA), owner, file_name, transcript_id, embedding_model or "", *map("=".join, sorted(names.items()))]
    parts += [f"insight {stage}={insights[stage]}" for stage in INSIGHT_STAGES if stage in insights]
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def passages(transcript: Transcript, names: Mapping[str, str]) -> tuple[Passage, ...]:
    """The segments that say something. `names`: label -> name shown; speakers without one keep their label."""
    return tuple(
        Passage(
            kind="segment",
            position=segment.id,
            start=segment.start,
            end=segment.end,
            speaker=segment.speaker,
            speaker_name=clean(names.get(segment.speaker or "", "")) or clean(segment.speaker or ""),
            text=text,
        )
        for segment in transcript.segments
        if (text := clean(segment.text))
    )


def insight_passages(insights: Insights, transcript: Transcript, names: Mapping[str, str]) -> tuple[Passage, ...]:
    """Titles of chapters, and what the summary says: each text once, at the time of its first citation."""
    chapters = insights.chapters.chapters if insights.chapters else ()
    titles = [(chapter.title, chapter.start, chapter.end) for chapter in chapters]
    statements: dict[str, _Found] = {}
    for found in _statements(insights.summary, transcript) if insights.summary else ():
        statements.setdefault(found[0], found)
    return (*_numbered("chapter", titles, names), *_numbered("summary", statements.values(), names))


_Found = tuple[str, float, float]
"""Text, start, end."""


def _numbered(kind: Kind, found: Iterable[_Found], names: Mapping[str, str]) -> Iterator[Passage]:
    shown = [(text, start, end) for written, start, end in found if (text := clean(named(written, names)))]
    for position, (text, start, end) in enumerate(shown):
        yield Passage(kind, position, start, end, speaker=None, speaker_name="", text=text)


def _statements(summary: Summary, transcript: Transcript) -> Iterator[_Found]:
    for topic in summary.major_topics:
        yield topic.title, topic.start, topic.end
    for statement in _said_in(summary):
        for segment in cited(statement.segments, transcript)[:1]:
            yield _with_owner(statement), segment.start, segment.end


def _said_in(summary: Summary) -> Iterator[Statement]:
    if summary.bottom_line:
        yield summary.bottom_line
    yield from summary.brief_summary
    for topic in summary.major_topics:
        yield topic.summary
        yield from topic.key_points
    for part in (summary.key_points, summary.decisions, summary.action_items, summary.follow_ups):
        yield from part
    for speaker in summary.speakers:
        yield from speaker.contributions


def _with_owner(statement: Statement) -> str:
    """'Send the report (Ann, by Friday)': people look for their tasks."""
    if not isinstance(statement, ActionItem):
        return statement.text
    details = ", ".join(filter(None, (statement.owner, statement.due)))
    return f"{statement.text} ({details})" if details else statement.text
