"""What recovery reads and writes: files that may be stuck, and each thing that may be done about one.

What belongs here: the query that finds suspects, and the acts, each of them one transaction: the row is locked, must
still be as it was seen, is changed, and the audit log says so. What does not: telling which suspects are stuck, and
why, for which Dagster and the store must be asked (`operations.recovery`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    true,
    update,
)

from transcribe_pipeline.errors import CATALOGUE, ErrorClass, ErrorCode, PipelineError
from transcribe_pipeline.ledger import events
from transcribe_pipeline.ledger.database import clock, read, write
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.models import (
    Cause,
    EventKind,
    InsightVersion,
    MediaFile,
    OperationEntry,
    Outcome,
    StageTiming,
    Status,
    TranscriptVersion,
    UtcDateTime,
)
from transcribe_pipeline.ledger.operations import Operation, note
from transcribe_pipeline.ledger.states import AT_WORK, UNFINISHED, entering, may_become
from transcribe_pipeline.ledger.text import clean

PASSING = tuple(code.value for code, entry in CATALOGUE.items() if entry.error_class is not ErrorClass.PERMANENT)
"""Failures that may pass: the world or a machine was to blame, not the file."""

_FIRST_PAUSE_SECONDS = 300.0
_PAUSE_GROWTH = 4
"""5 minutes, 20, 80: an outage of an hour and a half costs a file three tries, and no more."""

REPEATED = "repeated"
"""The action under which the audit log keeps that stages which a file lacks were asked for again."""
_MAX_REPEATS = 3
_MENDED_ELSEWHERE = "search_document"
"""The reconciliation of the search index brings back what it lacks."""
_EVIDENCE = 20


@dataclass(frozen=True)
class Suspect:
    """A file that may be stuck, as it was seen. Fields are columns of `models.MediaFile`, but for the last two."""

    id: str
    partition_key: str
    object_key: str
    generation: int
    base_generation: int
    resume_from: str | None
    status: Status
    status_since: datetime
    ended_as: Status | None
    attempts: int
    tries: int
    run_id: str | None
    lease_owner: str | None
    sha256: str | None
    error_code: str | None
    degraded: list[str]
    is_overdue: bool
    """Its lease ran out a whole lease ago: more than a pause of the run that holds it."""
    repeats: int
    """How often the stages that it lacks have been asked for again."""


_COLUMNS: list[Any] = [getattr(MediaFile, name) for name in Suspect.__dataclass_fields__ if hasattr(MediaFile, name)]


def pause_seconds(tries: int) -> float:
    """How long a file rests after so many tries before recovery gives it another."""
    return _FIRST_PAUSE_SECONDS * _PAUSE_GROWTH ** (tries - 1) if tries else 0.0


# --- looking --------------------------------------------------------------------------------------------------------


def suspects(
    engine: Engine,
    limit: int,
    *,
    lease_seconds: float,
    unanswered_seconds: float,
    max_tries: int,
    only: Sequence[str] | None = None,
) -> list[Suspect]:
    """At most `limit` files that may be stuck, in the order in which they came to their status.

    Those are: at work without a live lease; requested longer than `unanswered_seconds` ago, or to come back for as
    long; failed in a way that may pass, and rested since; completed, but lacking something. A file that is being
    forgotten is never among them.

    :param only: partition keys. These are not spared the times of rest, nor what may still be answered.
    """
    now = datetime.now(UTC)
    repeated = and_(
        OperationEntry.media_file_id == MediaFile.id,
        OperationEntry.generation == MediaFile.generation,
        OperationEntry.operation == Operation.RECOVERY.value,
        OperationEntry.action == REPEATED,
    )
    repeats = select(func.count()).select_from(OperationEntry).where(repeated).correlate(MediaFile).scalar_subquery()
    repeated_at = select(func.max(OperationEntry.at)).where(repeated).correlate(MediaFile).scalar_subquery()
    lease_end = func.coalesce(MediaFile.lease_until, 0.0)
    at_work = and_(MediaFile.status.in_(AT_WORK), lease_end <= clock())
    queued = MediaFile.status == Status.QUEUED
    may_pass = and_(
        MediaFile.status.in_((Status.ERROR, Status.QUARANTINED)),
        MediaFile.error_code.in_(PASSING),
        MediaFile.lease_owner.is_(None),
        or_(MediaFile.status == Status.ERROR, MediaFile.tries < max_tries),
    )
    lacking = and_(
        MediaFile.status == Status.COMPLETED,
        cast(MediaFile.degraded, Text).not_in(("[]", f'["{_MENDED_ELSEWHERE}"]')),
        repeats < _MAX_REPEATS,
    )
    if only is None:
        queued &= MediaFile.status_since <= now - timedelta(seconds=unanswered_seconds)
        may_pass &= MediaFile.finished_at <= _rested_since(MediaFile.tries, now, max_tries)
        last = func.coalesce(repeated_at, MediaFile.finished_at, type_=UtcDateTime())
        lacking &= last <= _rested_since(repeats + 1, now, _MAX_REPEATS)
    wanted = or_(at_work, queued, may_pass, lacking)
    statement = (
        select(
            *_COLUMNS,
            (lease_end + lease_seconds <= clock()).label("is_overdue"),
            case((MediaFile.status == Status.COMPLETED, repeats), else_=0).label("repeats"),
        )
        .where(wanted if only is None else and_(wanted, MediaFile.partition_key.in_(only)))
        .order_by(MediaFile.status_since, MediaFile.id)
        .limit(limit)
    )
    return _fetch(engine, statement)


def _rested_since(times: Any, now: datetime, most: int) -> ColumnElement[datetime]:
    """What ended before this has rested long enough, after having been tried so many times."""
    ends = [
        (times == number, literal(now - timedelta(seconds=pause_seconds(number)), UtcDateTime()))
        for number in range(most)
    ]
    longest = now - timedelta(seconds=pause_seconds(most))
    return case(*ends, else_=literal(longest, UtcDateTime()))


@dataclass(frozen=True)
class Waiting:
    """Files that are not done, and nothing is wrong."""

    in_queue: int
    """Requested, or to come back after a failure: Dagster has them."""
    settling: int
    """They may still be being written."""
    unrequested: int
    """In the ledger's backlog."""
    at_work: int


def waiting(engine: Engine) -> Waiting:
    """What waits, and what works."""
    settling = and_(MediaFile.status == Status.PENDING, MediaFile.eligible_at > datetime.now(UTC))
    live = and_(MediaFile.status.in_(AT_WORK), MediaFile.lease_until > clock())
    conditions = (MediaFile.status == Status.QUEUED, settling, MediaFile.status == Status.PENDING, live)
    counts: list[Any] = [func.count(case((condition, 1))) for condition in conditions]
    statement = select(*counts).where(MediaFile.status.in_(UNFINISHED))
    queued, unsettled, pending, at_work = read(engine, lambda connection: tuple(connection.execute(statement).one()))
    return Waiting(queued, unsettled, pending - unsettled, at_work)


def left_out(engine: Engine, suspect: Suspect | FileView, stages: Sequence[str]) -> set[str]:
    """Those of these stages of insight that have run since `base_generation` and made nothing, as was asked for."""
    made = exists().where(
        InsightVersion.transcript_id == TranscriptVersion.id,
        TranscriptVersion.media_file_id == StageTiming.media_file_id,
        InsightVersion.stage == StageTiming.stage,
        InsightVersion.generation == StageTiming.generation,
    )
    statement = select(StageTiming.stage).where(
        StageTiming.media_file_id == suspect.id,
        StageTiming.generation.between(suspect.base_generation, suspect.generation),
        StageTiming.outcome == Outcome.SUCCEEDED,
        StageTiming.stage.in_(stages),
        ~made,
    )
    return set(read(engine, lambda connection: connection.execute(statement).scalars().all()))


def maybe_gone(engine: Engine, limit: int) -> list[Suspect]:
    """Files that wait for a run or have failed, and of which there is no transcript: their uploads must be there."""
    of_this_content = exists().where(
        TranscriptVersion.id == MediaFile.current_transcript_id,
        TranscriptVersion.generation >= MediaFile.base_generation,
    )
    statement = (
        select(*_COLUMNS, literal(False), literal(0))
        .where(
            MediaFile.status.in_((Status.PENDING, Status.QUEUED, Status.ERROR)),
            MediaFile.lease_owner.is_(None),
            ~of_this_content,
        )
        .order_by(MediaFile.status_since, MediaFile.id)
        .limit(limit)
    )
    return _fetch(engine, statement)


def _fetch(engine: Engine, statement: Select[Any]) -> list[Suspect]:
    return read(engine, lambda connection: [Suspect(*row) for row in connection.execute(statement)])


@dataclass(frozen=True)
class Holding:
    """Who has a file, for telling runs that may still write from those that can not."""

    partition_key: str
    generation: int
    run_id: str | None
    """The run that last claimed this generation."""
    lease_owner: str | None
    is_live: bool
    is_overdue: bool
    """As in `Suspect`."""
    status_since: datetime

    def is_live_for(self, run_id: str) -> bool:
        return self.is_live and self.lease_owner == run_id


def holdings(engine: Engine, partition_keys: Sequence[str], *, lease_seconds: float) -> dict[str, Holding]:
    """Partition key -> who has it. At most 1,000 at a time; unknown ones are left out."""
    lease_end = func.coalesce(MediaFile.lease_until, 0.0)
    statement = select(
        MediaFile.partition_key,
        MediaFile.generation,
        MediaFile.run_id,
        MediaFile.lease_owner,
        lease_end > clock(),
        lease_end + lease_seconds <= clock(),
        MediaFile.status_since,
    ).where(MediaFile.partition_key.in_(partition_keys))
    return {row[0]: Holding(*row) for row in read(engine, lambda connection: connection.execute(statement).all())}


def known_keys(engine: Engine, partition_keys: Sequence[str]) -> set[str]:
    """Those of these partition keys that files of the ledger have. At most 1,000 at a time."""
    statement = select(MediaFile.partition_key).where(MediaFile.partition_key.in_(partition_keys))
    return set(read(engine, lambda connection: connection.execute(statement).scalars().all()))


# --- acting ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Act:
    """Who does it, and why."""

    cause: str
    action: str
    actor: str
    detail: Mapping[str, Any]


def go_again(engine: Engine, suspect: Suspect, act: Act, *, resume_from: str | None, charge: int = 0) -> bool:
    """Another generation of the same work, which begins with stage `resume_from`; the next tick requests its run.

    What was made since `base_generation` stays, and so do the stages that the file goes without, and where the last run
    was. `charge` counts runs that have failed before they could be counted by a claim.
    Returns whether the file was still as it had been seen.
    """
    values = {
        "generation": MediaFile.generation + 1,
        "cause": Cause.RECOVERY,
        "status": Status.PENDING,
        "status_since": datetime.now(UTC),
        "ended_as": None,
        "resume_from": resume_from,
        "tries": MediaFile.tries + charge,
        "attempts": 0,
        "progress": 0.0,
        "requested_at": None,
        "started_at": None,
        "finished_at": None,
        "run_id": None,
        "lease_owner": None,
        "lease_until": None,
        "error_code": None,
        "error_text": None,
    }
    return write(engine, lambda connection: _act(connection, suspect, act, values))


def finish(engine: Engine, suspect: Suspect, act: Act) -> bool:
    """Everything is made: the file is completed. Returns whether it was still as it had been seen."""
    values = entering(Status.COMPLETED) | {
        "progress": 1.0,
        "stage": None,
        "error_code": None,
        "error_text": None,
        "tries": 0,
    }

    def work(connection: Connection) -> bool:
        if not _act(connection, suspect, act, entering(Status.PROCESSING)):
            return False
        connection.execute(update(MediaFile).where(MediaFile.id == suspect.id).values(values))
        payload = {"degraded": suspect.degraded}
        events.announce_once(connection, suspect.id, suspect.generation, EventKind.COMPLETED, payload)
        return True

    return write(engine, work)


def give_back(engine: Engine, suspect: Suspect, act: Act, *, ended_as: Status) -> bool:
    """A run that a person wanted is gone: the file is what it was before. Returns whether it was still as seen."""
    # Its `finished_at` and error are those of that end.
    values = entering(Status.QUEUED) | {"status": ended_as}
    return write(engine, lambda connection: _act(connection, suspect, act, values))


def cancel(engine: Engine, suspect: Suspect, act: Act) -> bool:
    """Nobody is left to hear that the work should stop. Returns whether the file was still as it had been seen."""
    if suspect.ended_as is not None:
        return give_back(engine, suspect, act, ended_as=suspect.ended_as)
    return _end(engine, suspect, act, Status.CANCELLED, PipelineError(ErrorCode.CANCELLED))


def orphan(engine: Engine, suspect: Suspect, act: Act) -> bool:
    """The upload is gone. Returns whether the file was still as it had been seen."""
    return _end(engine, suspect, act, Status.ORPHANED, PipelineError(ErrorCode.SOURCE_GONE))


def quarantine(engine: Engine, suspect: Suspect, act: Act) -> bool:
    """It has had its tries. The audit log gets what they were: every failed stage, and what recovery did.

    Returns whether the file was still as it had been seen.
    """
    own = {} if suspect.error_code else _error_values(PipelineError(ErrorCode.WORKER_LOST))
    code = suspect.error_code or ErrorCode.WORKER_LOST.value

    def work(connection: Connection) -> bool:
        values = entering(Status.QUARANTINED) | own
        detail = {**act.detail, "last_error": code, **_evidence(connection, suspect)}
        told = Act(act.cause, act.action, act.actor, detail)
        if not _act(connection, suspect, told, values, Operation.QUARANTINE):
            return False
        payload = {"error_code": code, "status": Status.QUARANTINED.value}
        events.announce_once(connection, suspect.id, suspect.generation, EventKind.FAILED, payload)
        return True

    return write(engine, work)


def note_repeat(engine: Engine, suspect: Suspect, act: Act) -> bool:
    """What the file lacks is being asked for again. Returns whether it was still as it had been seen."""

    def work(connection: Connection) -> bool:
        if not _is_as_seen(connection, suspect):
            return False
        asked = select(func.count()).where(
            OperationEntry.media_file_id == suspect.id,
            OperationEntry.generation == suspect.generation,
            OperationEntry.operation == Operation.RECOVERY.value,
            OperationEntry.action == REPEATED,
        )
        if connection.execute(asked).scalar_one() != suspect.repeats:
            return False
        _note(connection, suspect, act, Operation.RECOVERY)
        return True

    return write(engine, work)


def _end(engine: Engine, suspect: Suspect, act: Act, status: Status, error: PipelineError) -> bool:
    def work(connection: Connection) -> bool:
        if not _act(connection, suspect, act, entering(status) | _error_values(error)):
            return False
        payload = {"error_code": error.code.value, "status": status.value}
        events.announce_once(connection, suspect.id, suspect.generation, EventKind.FAILED, payload)
        return True

    return write(engine, work)


def _act(
    connection: Connection,
    suspect: Suspect,
    act: Act,
    values: dict[str, Any],
    operation: Operation = Operation.RECOVERY,
) -> bool:
    """Change the file, unless it is no longer as it was seen: then somebody else has the word, or it helped itself."""
    if not _is_as_seen(connection, suspect):
        return False
    status = values["status"]
    legal = true() if "generation" in values or status is suspect.status else may_become(status)
    if connection.execute(update(MediaFile).where(MediaFile.id == suspect.id, legal).values(values)).rowcount == 0:
        return False
    _note(connection, suspect, act, operation)
    return True


def _is_as_seen(connection: Connection, suspect: Suspect) -> bool:
    """Locks the row."""
    as_seen = select(true()).where(
        MediaFile.id == suspect.id,
        MediaFile.generation == suspect.generation,
        MediaFile.status == suspect.status,
        MediaFile.status_since == suspect.status_since,
        MediaFile.attempts == suspect.attempts,
        MediaFile.lease_owner.is_not_distinct_from(suspect.lease_owner or null()),
        # A run that was only paused has renewed its lease.
        or_(MediaFile.lease_until.is_(None), MediaFile.lease_until <= clock()),
    )
    return connection.execute(as_seen.with_for_update()).first() is not None


def _note(connection: Connection, suspect: Suspect, act: Act, operation: Operation) -> None:
    note(
        connection,
        operation,
        cause=act.cause,
        action=act.action,
        actor=act.actor,
        media_file_id=suspect.id,
        generation=suspect.generation,
        run_id=suspect.run_id,
        detail=act.detail,
    )


def _error_values(error: PipelineError) -> dict[str, Any]:
    return {"error_code": error.code.value, "error_text": clean(error.sentence)}


def _evidence(connection: Connection, suspect: Suspect) -> dict[str, Any]:
    """The newest failures of stages, and what recovery did before, since the present work began; oldest first."""
    failed = (
        select(
            StageTiming.run_id,
            StageTiming.generation,
            StageTiming.stage,
            StageTiming.error_code,
            StageTiming.finished_at,
            StageTiming.seconds,
        )
        .where(
            StageTiming.media_file_id == suspect.id,
            StageTiming.generation >= suspect.base_generation,
            StageTiming.outcome == Outcome.FAILED,
        )
        .order_by(StageTiming.finished_at.desc())
        .limit(_EVIDENCE)
    )
    acts = (
        select(
            OperationEntry.run_id,
            OperationEntry.generation,
            OperationEntry.cause,
            OperationEntry.action,
            OperationEntry.at,
        )
        .where(
            OperationEntry.media_file_id == suspect.id,
            OperationEntry.generation >= suspect.base_generation,
            OperationEntry.operation == Operation.RECOVERY.value,
        )
        .order_by(OperationEntry.at.desc())
        .limit(_EVIDENCE)
    )
    stages = [
        {
            "run_id": row.run_id,
            "generation": row.generation,
            "stage": row.stage,
            "error_code": row.error_code,
            "at": row.finished_at.isoformat(timespec="seconds"),
            "seconds": round(row.seconds, 1),
        }
        for row in connection.execute(failed)
    ]
    recoveries = [
        {
            "run_id": row.run_id,
            "generation": row.generation,
            "cause": row.cause,
            "action": row.action,
            "at": row.at.isoformat(timespec="seconds"),
        }
        for row in connection.execute(acts)
    ]
    return {"failed_stages": stages[::-1], "recoveries": recoveries[::-1]}
