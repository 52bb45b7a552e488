"""What happened in a stretch of time, row by row, for reports: only facts that later days do not change.

What belongs here: which rows, and whose. What does not: adding them up (`operations.daily_report`).

A file's own row tells how it stands now, so of it only what never changes is read: its owner and when it was first
seen. Everything else comes from rows that are written once: endings from the outbox, transcripts, stage timings, the
audit log. A report made a year later is therefore the same, but for files that were deleted since: they take their rows
along. Rows are streamed; what is kept of them is the caller's business.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, exists, func, select

from transcribe_pipeline.ledger.database import read
from transcribe_pipeline.ledger.models import (
    EventKind,
    MediaFile,
    OperationEntry,
    OutboxEvent,
    Outcome,
    StageTiming,
    Status,
    TranscriptVersion,
)
from transcribe_pipeline.ledger.operations import Operation

_ROWS_A_FETCH = 5_000
"""In memory at a time, on either database."""


@dataclass(frozen=True)
class Window:
    """From `since` until just before `until`; of one owner, or of all."""

    since: datetime
    until: datetime
    owner: str | None = None

    def holds(self, moment: Any) -> ColumnElement[bool]:
        of_owner = () if self.owner is None else (MediaFile.owner == self.owner,)
        return and_(moment >= self.since, moment < self.until, *of_owner)


class Received(NamedTuple):
    """A file that was seen for the first time."""

    owner: str
    at: datetime


class Ending(NamedTuple):
    """The end of a generation. Another one after it, for a person had it run again, is told only if it differs."""

    owner: str
    at: datetime
    status: Status
    is_degraded: bool
    error_code: str | None


class Made(NamedTuple):
    """A transcript version."""

    owner: str
    at: datetime
    version: int
    audio_seconds: float
    words: int
    speakers: int
    language: str
    no_speech: bool
    is_held_back: bool
    received_at: datetime
    """When the file was seen for the first time."""


class Begun(NamedTuple):
    """A file of which the first stage ended in this time."""

    owner: str
    received_at: datetime
    started_at: datetime


class StageRun(NamedTuple):
    """One stage of one run that ended in this time."""

    owner: str
    partition_key: str
    stage: str
    seconds: float
    cpu_seconds: float | None
    gpu_seconds: float | None
    error_code: str | None
    audio_seconds: float | None
    """Of the transcript of the same generation; None if it has none."""


class Cared(NamedTuple):
    """An operation on a file."""

    owner: str
    operation: str
    media_file_id: str


def received(connection: Connection, window: Window) -> Iterator[Received]:
    statement = select(MediaFile.owner, MediaFile.registered_at).where(window.holds(MediaFile.registered_at))
    return map(Received._make, _rows(connection, statement))


def endings(connection: Connection, window: Window) -> Iterator[Ending]:
    statement = (
        select(MediaFile.owner, OutboxEvent.created_at, OutboxEvent.kind, OutboxEvent.payload)
        .join(MediaFile, MediaFile.id == OutboxEvent.media_file_id)
        .where(
            OutboxEvent.kind.in_((EventKind.COMPLETED, EventKind.FAILED)),
            window.holds(OutboxEvent.created_at),
        )
    )
    for owner, at, kind, payload in _rows(connection, statement):
        yield Ending(owner, at, _status(kind, payload), bool(payload.get("degraded")), payload.get("error_code"))
    for owner, at in _rows(connection, _quarantined_later(window)):
        yield Ending(owner, at, Status.QUARANTINED, is_degraded=False, error_code=None)


def _quarantined_later(window: Window) -> Select[str, datetime]:
    """Of generations that had failed before, which was announced, and was the last that is."""
    announced = exists().where(
        OutboxEvent.media_file_id == OperationEntry.media_file_id,
        OutboxEvent.generation == OperationEntry.generation,
        OutboxEvent.kind == EventKind.FAILED,
        OutboxEvent.payload["status"].as_string() == Status.QUARANTINED.value,
    )
    return (
        select(MediaFile.owner, OperationEntry.at)
        .join(MediaFile, MediaFile.id == OperationEntry.media_file_id)
        .where(OperationEntry.operation == Operation.QUARANTINE.value, window.holds(OperationEntry.at), ~announced)
    )


def _status(kind: EventKind, payload: Mapping[str, Any]) -> Status:
    if kind is EventKind.COMPLETED:
        return Status.COMPLETED
    return Status(payload.get("status", Status.ERROR))  # events of the first versions named no status


def made(connection: Connection, window: Window) -> Iterator[Made]:
    version = TranscriptVersion
    statement = (
        select(
            MediaFile.owner,
            version.created_at,
            version.version,
            version.audio_seconds,
            version.word_count,
            version.speaker_count,
            version.language,
            version.no_speech,
            version.held_back.is_not(None),
            MediaFile.registered_at,
        )
        .join(MediaFile, MediaFile.id == version.media_file_id)
        .where(window.holds(version.created_at))
    )
    return map(Made._make, _rows(connection, statement))


def begun(connection: Connection, window: Window) -> Iterator[Begun]:
    first_end = func.min(StageTiming.finished_at)
    statement = (
        select(MediaFile.owner, MediaFile.registered_at, func.min(StageTiming.started_at))
        .join(MediaFile, MediaFile.id == StageTiming.media_file_id)
        .where(StageTiming.media_file_id.in_(_files_at_work(window)))
        .group_by(MediaFile.id, MediaFile.owner, MediaFile.registered_at)
        .having(first_end >= window.since, first_end < window.until)
    )
    return map(Begun._make, _rows(connection, statement))


def stage_runs(connection: Connection, window: Window) -> Iterator[StageRun]:
    lengths = {(row[0], row[1]): row[2] for row in _rows(connection, _audio_seconds(window))}
    timing = StageTiming
    statement = (
        select(
            MediaFile.owner,
            MediaFile.partition_key,
            timing.stage,
            timing.seconds,
            timing.cpu_seconds,
            timing.gpu_seconds,
            timing.outcome,
            timing.error_code,
            timing.media_file_id,
            timing.generation,
        )
        .join(MediaFile, MediaFile.id == timing.media_file_id)
        .where(window.holds(timing.finished_at))
    )
    for row in _rows(connection, statement):
        failed = None if row.outcome is Outcome.SUCCEEDED else row.error_code
        length = lengths.get((row.media_file_id, row.generation))
        yield StageRun._make((*row[:6], failed, length))


def cared(connection: Connection, window: Window) -> Iterator[Cared]:
    statement = (
        select(MediaFile.owner, OperationEntry.operation, MediaFile.id)
        .join(MediaFile, MediaFile.id == OperationEntry.media_file_id)
        # All there are: the index on `at` begins with the operation.
        .where(OperationEntry.operation.in_(list(Operation)), window.holds(OperationEntry.at))
    )
    return map(Cared._make, _rows(connection, statement))


def first_received(engine: Engine) -> datetime | None:
    """When the oldest of the files was first seen."""
    statement = select(func.min(MediaFile.registered_at))
    return read(engine, lambda connection: connection.execute(statement).scalar_one())


def _files_at_work(window: Window) -> Select[str]:
    """Ids of files of which any stage ended in this time."""
    return (
        select(StageTiming.media_file_id)
        .join(MediaFile, MediaFile.id == StageTiming.media_file_id)
        .where(window.holds(StageTiming.finished_at))
        .distinct()
    )


def _audio_seconds(window: Window) -> Select[str, int, float]:
    version = TranscriptVersion
    return (
        select(version.media_file_id, version.generation, func.max(version.audio_seconds))
        .where(version.media_file_id.in_(_files_at_work(window)))
        .group_by(version.media_file_id, version.generation)
    )


def _rows(connection: Connection, statement: Select[*tuple[Any, ...]]) -> Iterator[Any]:
    return iter(connection.execute(statement, execution_options={"yield_per": _ROWS_A_FETCH}))
