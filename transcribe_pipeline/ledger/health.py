"""How the work goes: what waits, what was done, how fast, and what failed. Everything is counted by the database.

What belongs here: figures over bounded windows of time, read in one transaction. What does not: what they mean
(`operations.health`). The windows are served by the indices on `finished_at` and on status; the only statement that
looks at every file counts them by state.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Executable,
    Integer,
    Text,
    and_,
    case,
    cast,
    distinct,
    func,
    literal,
    select,
    text,
    union_all,
)

from transcribe_pipeline.ledger.database import clock, read, unix_seconds
from transcribe_pipeline.ledger.models import (
    MediaFile,
    Outcome,
    StageTiming,
    Status,
    TranscriptVersion,
    UtcDateTime,
)
from transcribe_pipeline.ledger.recovery import PASSING
from transcribe_pipeline.ledger.states import AT_WORK, State, state_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HISTORY = timedelta(days=30)
"""What the last day is compared with: the 30 days before it."""
_OWNERS_TOLD = 10
_SAMPLED_FILES = 400
"""Whose speed is looked at, of each window. The middle of 400 lies between the 45th and the 55th percentile of all
(95 %), and takes 0.15 s, where all 200,000 timings of a month take 2 s."""
_WAITING = (Status.PENDING, Status.QUEUED)


@dataclass(frozen=True)
class StateCount:
    state: State
    files: int
    bytes: int
    oldest: datetime
    """Since when the first of them is in this state."""


@dataclass(frozen=True)
class AtStage:
    """Unfinished files at one stage: those that wait to begin with it, and those that are at it."""

    stage: str | None
    """None: the first one."""
    status: Status
    files: int
    bytes: int
    oldest: datetime


@dataclass(frozen=True)
class OwnerQueue:
    owner: str
    files: int
    oldest: datetime


@dataclass(frozen=True)
class Ended:
    """Files whose work ended within a window, alike."""

    state: State
    error_code: str | None
    files: int
    retried: int
    """Of these, how many took more than one run."""
    retries: int
    """Runs beyond the first, of all of them."""
    seconds: float
    """From the first claim of the last run to the end, of all of them."""


@dataclass(frozen=True)
class StageWork:
    """Runs of one stage that ended alike within a window."""

    stage: str
    outcome: Outcome
    error_code: str | None
    runs: int
    seconds: float
    cpu_seconds: float
    gpu_seconds: float


@dataclass(frozen=True)
class Speed:
    """How much of a stage's time a second of audio takes, over the successful runs of a window."""

    stage: str
    is_recent: bool
    """The last day; else the 30 days before it."""
    runs: int
    seconds: float
    audio_seconds: float
    median_rtf: float


@dataclass(frozen=True)
class Done:
    """Files completed within a window."""

    files: int
    audio_seconds: float
    bytes: int


@dataclass(frozen=True)
class Database:
    kind: str
    latency_seconds: float
    size_bytes: int


@dataclass(frozen=True)
class Figures:
    """What the ledger knows of the pipeline's health at one moment."""

    at: datetime
    states: list[StateCount]
    at_stages: list[AtStage]
    settling: int
    """Files that wait because they may still be being written."""
    owners: list[OwnerQueue]
    """The longest queues."""
    lost: dict[str | None, int]
    """Stage -> files whose lease has run out there, and that nobody has taken over."""
    passing: int
    """Failed files whose error may pass: recovery tries them again."""
    past_retention: int
    held: int
    """Files that must not be deleted by themselves."""
    ended_hour: list[Ended]
    ended_day: list[Ended]
    work_hour: list[StageWork]
    work_day: list[StageWork]
    repeated_day: dict[str, int]
    """Stage -> runs of the day that did the same generation's stage once more."""
    speeds: list[Speed]
    done_hour: Done
    done_day: Done
    done_history: Done
    audio_by_hour: dict[int, float]
    """Hours ago (0..23) -> seconds of audio completed."""
    degraded: dict[str, int]
    """Stage -> completed files that go without what it makes."""
    database: Database


def figures(engine: Engine, now: datetime, *, lease_seconds: float, retention_failed_days: float) -> Figures:
    """:param lease_seconds: a lease counts as lost only when it ran out this long ago, for its holder may be slow.
    :param retention_failed_days: after so long files that failed are deleted; 0: never.
    :raises PipelineError: DATABASE_UNAVAILABLE.
    """

    def work(connection: Connection) -> Figures:
        return Figures(
            at=now,
            states=_states(connection),
            at_stages=_rows(connection, _AT_STAGES, AtStage),
            settling=_count(connection, MediaFile.status == Status.PENDING, MediaFile.eligible_at > now),
            owners=_rows(connection, _OWNERS, OwnerQueue),
            lost=_lost(connection, lease_seconds),
            passing=_count(connection, MediaFile.status == Status.ERROR, MediaFile.error_code.in_(PASSING)),
            past_retention=_past_retention(connection, now, retention_failed_days),
            held=_count(connection, MediaFile.legal_hold.is_not(None)),
            ended_hour=_ended(connection, now - HOUR, now),
            ended_day=_ended(connection, now - DAY, now),
            work_hour=_work(connection, now - HOUR, now),
            work_day=_work(connection, now - DAY, now),
            repeated_day=_repeated(connection, now - DAY, now),
            speeds=_speeds(connection, now),
            done_hour=_done(connection, now - HOUR, now),
            done_day=_done(connection, now - DAY, now),
            done_history=_done(connection, now - HISTORY - DAY, now),
            audio_by_hour=_audio_by_hour(connection, now),
            degraded=_degraded(connection),
            database=_database(connection),
        )

    return read(engine, work)


_IS_DEGRADED = cast(MediaFile.degraded, Text).contains('"')
_AT_STAGE = case((MediaFile.status.in_(_WAITING), MediaFile.resume_from), else_=MediaFile.stage)
_AT_STAGES = (
    select(
        _AT_STAGE,
        MediaFile.status,
        func.count(),
        func.sum(MediaFile.size_bytes),
        func.min(MediaFile.status_since),
    )
    .where(MediaFile.status.in_((*_WAITING, *AT_WORK)))
    .group_by(_AT_STAGE, MediaFile.status)
)
_OWNERS = (
    select(MediaFile.owner, func.count().label("files"), func.min(MediaFile.status_since))
    .where(MediaFile.status.in_(_WAITING))
    .group_by(MediaFile.owner)
    .order_by(text("files DESC"), MediaFile.owner)
    .limit(_OWNERS_TOLD)
)


def _states(connection: Connection) -> list[StateCount]:
    statement = select(
        MediaFile.status,
        _IS_DEGRADED,
        func.count(),
        func.sum(MediaFile.size_bytes),
        func.min(MediaFile.status_since),
    ).group_by(MediaFile.status, _IS_DEGRADED)
    counts: dict[State, StateCount] = {}
    for status, is_degraded, files, size, oldest in connection.execute(statement):
        state = state_of(status, is_degraded)
        known = counts.get(state, StateCount(state, 0, 0, oldest))
        counts[state] = StateCount(state, known.files + files, known.bytes + int(size), min(known.oldest, oldest))
    return [counts[state] for state in State if state in counts]


def _count(connection: Connection, *wanted: Any) -> int:
    return connection.execute(select(func.count()).select_from(MediaFile).where(*wanted)).scalar_one()


def _lost(connection: Connection, lease_seconds: float) -> dict[str | None, int]:
    is_over = func.coalesce(MediaFile.lease_until, 0.0) <= clock() - lease_seconds
    statement = (
        select(MediaFile.stage, func.count().label("files"))
        .where(MediaFile.status.in_(AT_WORK), is_over)
        .group_by(MediaFile.stage)
    )
    return {row.stage: row.files for row in connection.execute(statement)}


def _past_retention(connection: Connection, now: datetime, days: float) -> int:
    if not days:
        return 0
    failed = (Status.ERROR, Status.CANCELLED, Status.ORPHANED, Status.QUARANTINED)
    return _count(
        connection,
        MediaFile.status.in_(failed),
        MediaFile.finished_at < now - timedelta(days=days),
        MediaFile.legal_hold.is_(None),
    )


def _ended(connection: Connection, since: datetime, now: datetime) -> list[Ended]:
    seconds = unix_seconds(MediaFile.finished_at) - unix_seconds(MediaFile.started_at)
    statement = (
        select(
            MediaFile.status,
            _IS_DEGRADED,
            MediaFile.error_code,
            func.count(),
            func.sum(cast(MediaFile.attempts > 1, Integer)),
            func.sum(case((MediaFile.attempts > 1, MediaFile.attempts - 1), else_=0)),
            func.sum(func.coalesce(seconds, 0.0)),
        )
        .where(MediaFile.finished_at >= since, MediaFile.finished_at <= now)
        .group_by(MediaFile.status, _IS_DEGRADED, MediaFile.error_code)
        .order_by(MediaFile.status, _IS_DEGRADED, MediaFile.error_code)
    )
    return [
        Ended(state_of(status, is_degraded), code, files, int(retried), int(retries), float(seconds))
        for status, is_degraded, code, files, retried, retries, seconds in connection.execute(statement)
        if status not in (*_WAITING, *AT_WORK)  # ended once, and at work again since
    ]


def _work(connection: Connection, since: datetime, now: datetime) -> list[StageWork]:
    kinds = (StageTiming.stage, StageTiming.outcome, StageTiming.error_code)
    statement = (
        select(
            *kinds,
            func.count(),
            func.sum(StageTiming.seconds),
            func.coalesce(func.sum(StageTiming.cpu_seconds), 0.0),
            func.coalesce(func.sum(StageTiming.gpu_seconds), 0.0),
        )
        .where(StageTiming.finished_at >= since, StageTiming.finished_at <= now)
        .group_by(*kinds)
        .order_by(*kinds)
    )
    return _rows(connection, statement, StageWork)


def _repeated(connection: Connection, since: datetime, now: datetime) -> dict[str, int]:
    work = StageTiming.media_file_id + ":" + cast(StageTiming.generation, Text)
    repeated = func.count() - func.count(distinct(work))
    statement = (
        select(StageTiming.stage, repeated.label("repeated"))
        .where(StageTiming.finished_at >= since, StageTiming.finished_at <= now)
        .group_by(StageTiming.stage)
        .having(repeated > 0)
    )
    return {row.stage: row.repeated for row in connection.execute(statement)}


def _speeds(connection: Connection, now: datetime) -> list[Speed]:
    """The median is the middle row of each group; neither database has one that both understand."""
    since = now - DAY
    sample = union_all(_sampled(since, now, is_recent=True), _sampled(since - HISTORY, since, is_recent=False))
    files = sample.cte("files")
    rtf = StageTiming.seconds / files.c.audio_seconds
    group = (StageTiming.stage, files.c.is_recent)
    ranked = (
        select(
            StageTiming.stage,
            files.c.is_recent,
            StageTiming.seconds,
            files.c.audio_seconds,
            rtf.label("rtf"),
            func.row_number().over(partition_by=group, order_by=rtf).label("place"),
            func.count().over(partition_by=group).label("runs"),
        )
        .join(files, files.c.id == StageTiming.media_file_id)
        .where(StageTiming.outcome == Outcome.SUCCEEDED, StageTiming.finished_at >= files.c.since)
        .subquery()
    )
    middle = case((ranked.c.place * 2 - ranked.c.runs == ranked.c.runs % 2, ranked.c.rtf))
    statement = (
        select(
            ranked.c.stage,
            ranked.c.is_recent,
            func.count(),
            func.sum(ranked.c.seconds),
            func.sum(ranked.c.audio_seconds),
            func.max(middle),
        )
        .group_by(ranked.c.stage, ranked.c.is_recent)
        .order_by(ranked.c.stage, ranked.c.is_recent)
    )
    return [Speed(stage, bool(is_recent), *figures) for stage, is_recent, *figures in connection.execute(statement)]


def _sampled(since: datetime, until: datetime, *, is_recent: bool) -> Any:
    """Files completed within a window; of many always the same ones, whatever they are: ids are random."""
    chosen = (
        select(
            MediaFile.id,
            TranscriptVersion.audio_seconds,
            literal(int(is_recent)).label("is_recent"),
            literal(since, UtcDateTime).label("since"),
        )
        .join(TranscriptVersion, TranscriptVersion.id == MediaFile.current_transcript_id)
        .where(_completed(since, until), TranscriptVersion.audio_seconds > 0)
        .order_by(MediaFile.id)
        .limit(_SAMPLED_FILES)
        .subquery()
    )
    return select(chosen)


def _completed(since: datetime, now: datetime) -> Any:
    return and_(MediaFile.finished_at >= since, MediaFile.finished_at <= now, MediaFile.status == Status.COMPLETED)


def _done(connection: Connection, since: datetime, now: datetime) -> Done:
    statement = (
        select(
            func.count(),
            func.coalesce(func.sum(TranscriptVersion.audio_seconds), 0.0),
            func.coalesce(func.sum(MediaFile.size_bytes), 0),
        )
        .select_from(MediaFile)
        .join(TranscriptVersion, TranscriptVersion.id == MediaFile.current_transcript_id)
        .where(_completed(since, now))
    )
    files, seconds, size = connection.execute(statement).one()
    return Done(files, float(seconds), int(size))


def _audio_by_hour(connection: Connection, now: datetime) -> dict[int, float]:
    hours_ago = cast(now.timestamp() - unix_seconds(MediaFile.finished_at), Integer) // 3600
    statement = (
        select(hours_ago.label("hours_ago"), func.sum(TranscriptVersion.audio_seconds))
        .join(TranscriptVersion, TranscriptVersion.id == MediaFile.current_transcript_id)
        .where(_completed(now - DAY, now))
        .group_by(text("hours_ago"))
    )
    return {min(hours, 23): float(seconds) for hours, seconds in connection.execute(statement)}


def _degraded(connection: Connection) -> dict[str, int]:
    stages = cast(MediaFile.degraded, Text)  # PostgreSQL groups by no JSON
    statement = select(stages, func.count()).where(MediaFile.status == Status.COMPLETED, _IS_DEGRADED).group_by(stages)
    counts: dict[str, int] = {}
    for together, files in connection.execute(statement):
        for stage in json.loads(together):
            counts[stage] = counts.get(stage, 0) + files
    return counts


def _database(connection: Connection) -> Database:
    started = perf_counter()
    connection.execute(select(1)).one()
    latency = perf_counter() - started
    if connection.dialect.name == "postgresql":
        size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    else:
        pages, page_bytes = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size")
        )
        size = pages * page_bytes
    return Database(connection.dialect.name, latency, size)


def _rows(connection: Connection, statement: Executable, kind: Any) -> list[Any]:
    return [kind(*row) for row in connection.execute(statement)]
