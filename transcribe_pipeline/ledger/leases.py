"""Who may write about a file: claims, their renewal, and how they end.

A claim is a generation plus a lease. Every write of a run is an UPDATE (or a row lock) under `fence(claim)`; when that
matches nothing the run has been superseded and gets LEASE_LOST. A lease that ran out without anyone taking the file
is still its holder's: a long pause alone must not throw work away.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, case, func, or_, select, true, update

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import events
from transcribe_pipeline.ledger.database import clock, read, write
from transcribe_pipeline.ledger.models import EventKind, MediaFile, Status, TranscriptVersion
from transcribe_pipeline.ledger.states import AT_WORK, ENDED, NEXT, ending, entering, may_become
from transcribe_pipeline.ledger.text import clean

_FAILED = (Status.ERROR, Status.QUARANTINED, Status.ORPHANED)
_PROGRESS_BEFORE_COMMIT = 0.99
"""A bar at 100 % means that the result is there; until then it stops short of it."""


@dataclass(frozen=True)
class Claim:
    """A run's right to write about one generation of one file, and what the ledger knew when it was given."""

    media_file_id: str
    partition_key: str
    generation: int
    owner: str
    object_key: str
    file_name: str
    etag: str
    version: str | None
    size_bytes: int
    modified_at: datetime
    sha256: str | None
    """Of this generation's bytes, if an earlier run has read them."""
    attempts: int
    """Runs that have claimed this generation, this one included."""
    tries: int
    """Runs that the pipeline itself has started for this content, this one included."""
    transcribed_sha256: str | None
    """Of the bytes that the current transcript was made from: equal bytes need not be transcribed again."""
    sidecars: str
    """Fingerprint of what lies beside the file; as of the last look at it."""
    transcribed_sidecars: str | None
    """What the current transcript was made with."""
    requested_options: dict[str, Any]
    run_id: str
    lease_seconds: float
    stage: str | None = None
    """Where the work last was: where an earlier run ended, if this one has just begun."""
    degraded: tuple[str, ...] = ()
    """Stages that have failed without costing the transcript."""


def fence(claim: Claim) -> ColumnElement[bool]:
    """True for the claim's row as long as the claim is good: belongs into the WHERE of every write."""
    return and_(
        MediaFile.id == claim.media_file_id,
        MediaFile.generation == claim.generation,
        MediaFile.lease_owner == claim.run_id,
    )


def lost(claim: Claim) -> PipelineError:
    return PipelineError(ErrorCode.LEASE_LOST, f"this run held generation {claim.generation}")


# --- taking ---------------------------------------------------------------------------------------------------------


def claim(
    engine: Engine,
    partition_key: str,
    generation: int | None,
    run_id: str,
    *,
    lease_seconds: float,
    holder_finished: Callable[[str], bool],
    max_tries: int | None = None,
) -> Claim:
    """Take the file for `run_id`, or renew what it already holds. `generation` None stands for the present one.

    A file is free if nobody holds a lease on it, the lease has run out, or `holder_finished(run id of the holder)`
    says that the holder is no more (asked outside of any transaction, and only if it matters).

    `max_tries` is for runs that the pipeline itself has started: they are counted, over all of its ways to try again,
    and after so many the next one is refused. None stands for a run that a person wants.

    Raises FILE_UNKNOWN; LEASE_LOST if the generation is not the present one, or this run has failed it; LEASE_HELD if
    a live run holds the file; CANCELLED if somebody wants the work to stop, or not to begin; TRIES_EXHAUSTED.
    """
    asked = _Asked(partition_key, generation, run_id, lease_seconds, max_tries)
    taken = write(engine, lambda connection: _take(connection, asked, None))
    if isinstance(taken, str) and holder_finished(taken):
        dead_holder = taken
        taken = write(engine, lambda connection: _take(connection, asked, dead_holder))
    if isinstance(taken, str):
        raise PipelineError(ErrorCode.LEASE_HELD, f"run {taken}")
    return taken


@dataclass(frozen=True)
class _Asked:
    partition_key: str
    generation: int | None
    run_id: str
    lease_seconds: float
    max_tries: int | None


def _take(connection: Connection, asked: _Asked, dead_holder: str | None) -> Claim | str:
    """The claim, or the run id of who holds the file. The row is locked first, so of two claimers one comes second."""
    run_id = asked.run_id
    file = connection.execute(
        select(
            MediaFile.id,
            MediaFile.generation,
            MediaFile.status,
            MediaFile.tries,
            MediaFile.run_id,
            MediaFile.lease_owner,
        )
        .where(MediaFile.partition_key == asked.partition_key)
        .with_for_update()
    ).one_or_none()
    if file is None:
        raise PipelineError(ErrorCode.FILE_UNKNOWN)
    if asked.generation not in (None, file.generation):
        raise PipelineError(ErrorCode.LEASE_LOST, f"generation {asked.generation}; the file is at {file.generation}")
    # A run that was requested before a file was cancelled may begin after it. Only a person takes a cancel back.
    is_cancelled = file.status is Status.CANCELLED and (asked.max_tries is not None or file.run_id == run_id)
    if file.status is Status.CANCELLING or is_cancelled:
        raise PipelineError(ErrorCode.CANCELLED)
    # Dagster goes on with stages that do not need a failed one; they would have the file at work again, for nothing.
    if file.run_id == run_id and file.status in _FAILED:
        raise PipelineError(ErrorCode.LEASE_LOST, "this run has failed it already")
    if asked.max_tries is not None and file.run_id != run_id and file.tries >= asked.max_tries:
        raise PipelineError(ErrorCode.TRIES_EXHAUSTED, f"{file.tries} of {asked.max_tries}")
    returning_run = MediaFile.run_id == run_id
    counted = 0 if asked.max_tries is None else 1
    statement = (
        update(MediaFile)
        .where(
            MediaFile.id == file.id,
            or_(
                MediaFile.lease_owner.is_(None),
                MediaFile.lease_owner.in_((run_id, dead_holder)),
                MediaFile.lease_until <= clock(),
            ),
        )
        .values(
            status=Status.PROCESSING,
            status_since=case((returning_run, MediaFile.status_since), else_=datetime.now(UTC)),
            attempts=MediaFile.attempts + case((returning_run, 0), else_=1),
            tries=MediaFile.tries + case((returning_run, 0), else_=counted),
            started_at=case((returning_run, MediaFile.started_at), else_=datetime.now(UTC)),
            run_id=run_id,
            lease_owner=run_id,
            lease_until=clock() + asked.lease_seconds,
        )
    )
    if connection.execute(statement).rowcount == 0:
        return str(file.lease_owner)
    row = connection.execute(_CLAIMED.where(MediaFile.id == file.id)).one()
    values = row._asdict() | {"degraded": tuple(row.degraded)}
    return Claim(**values, run_id=run_id, lease_seconds=asked.lease_seconds)


_CLAIMED = select(
    MediaFile.id.label("media_file_id"),
    MediaFile.partition_key,
    MediaFile.generation,
    MediaFile.owner,
    MediaFile.object_key,
    MediaFile.file_name,
    MediaFile.etag,
    MediaFile.version,
    MediaFile.size_bytes,
    MediaFile.modified_at,
    MediaFile.sha256,
    MediaFile.attempts,
    MediaFile.tries,
    MediaFile.stage,
    MediaFile.degraded,
    MediaFile.sidecars,
    MediaFile.requested_options,
    TranscriptVersion.source_sha256.label("transcribed_sha256"),
    TranscriptVersion.sidecars.label("transcribed_sidecars"),
).outerjoin(TranscriptVersion, TranscriptVersion.id == MediaFile.current_transcript_id)


# --- holding --------------------------------------------------------------------------------------------------------


def heartbeat(engine: Engine, claim: Claim, *, progress: float | None = None, stage: str | None = None) -> bool:
    """Renew the lease; say where the work is. Progress (0..1) never falls.

    Returns whether the work should go on: False if a person wants it to stop. Raises LEASE_LOST.
    """
    values: dict[str, Any] = {"lease_until": clock() + claim.lease_seconds}
    if stage is not None:
        values["stage"] = stage
    if progress is not None:
        reached = min(progress, _PROGRESS_BEFORE_COMMIT)
        values["progress"] = case((MediaFile.progress < reached, reached), else_=MediaFile.progress)
    statement = update(MediaFile).where(fence(claim)).values(values).returning(MediaFile.status)
    status = write(engine, lambda connection: connection.execute(statement).scalar_one_or_none())
    if status is None:
        raise lost(claim)
    return status is not Status.CANCELLING


def record_sha256(engine: Engine, claim: Claim, sha256: str) -> None:
    """Note the SHA-256 of the bytes that the claim's etag stands for. Raises LEASE_LOST."""
    _update(engine, claim, {"sha256": sha256})


def record_sidecars(engine: Engine, claim: Claim, fingerprint: str) -> None:
    """Note what a run has found beside the file, so that a listing does not take it for news. Raises LEASE_LOST."""
    _update(engine, claim, {"sidecars": fingerprint})


def note_degraded(engine: Engine, claim: Claim, stage: str, *, degraded: bool) -> None:
    """Note that a stage has failed without costing the transcript, or that it has now succeeded. Raises LEASE_LOST."""

    def work(connection: Connection) -> None:
        stages = connection.execute(select(MediaFile.degraded).where(fence(claim)).with_for_update()).scalar()
        if stages is None:
            raise lost(claim)
        others = [name for name in stages if name != stage]
        values = {"degraded": [*others, stage] if degraded else others}
        connection.execute(update(MediaFile).where(fence(claim)).values(values))

    write(engine, work)


def check(engine: Engine, claim: Claim) -> None:
    """Raises LEASE_LOST if the claim is no longer good. Only a hint: a write asks again, in its own transaction."""
    if read(engine, lambda connection: connection.execute(select(true()).where(fence(claim))).first()) is None:
        raise lost(claim)


def _update(engine: Engine, claim: Claim, values: dict[str, Any]) -> None:
    statement = update(MediaFile).where(fence(claim)).values(values)
    if write(engine, lambda connection: connection.execute(statement).rowcount) == 0:
        raise lost(claim)


# --- ending ---------------------------------------------------------------------------------------------------------


def complete(engine: Engine, claim: Claim, *, degraded: Sequence[str] = ()) -> None:
    """The file is done; `degraded` names stages that failed without costing the transcript, beside those noted before.

    Raises LEASE_LOST.
    """
    noted = read(engine, lambda connection: connection.execute(select(MediaFile.degraded).where(fence(claim))).scalar())
    degraded = list(dict.fromkeys([*(noted or ()), *degraded]))
    values = entering(Status.COMPLETED) | {
        "progress": 1.0,
        "stage": None,
        "error_code": None,
        "error_text": None,
        "degraded": degraded,
        "tries": 0,
    }
    _end(engine, claim, values, {Status.COMPLETED}, (EventKind.COMPLETED, {"degraded": degraded}))


def fail(
    engine: Engine, claim: Claim, error: PipelineError, *, final: bool, max_tries: int = 3, charged: bool = True
) -> None:
    """The run has failed. `final`: that was it; otherwise another run of this generation is to come (QUEUED).

    A file whose work a person wants to stop is CANCELLED, whatever the error. A cancel leaves a file as it had ended
    before, if it had: what it had then is still there. Not `charged`: the run does not count as a try, since nothing
    about the file made it fail.

    Raises LEASE_LOST.
    """
    uncharged: dict[str, Any] = {} if charged else {"tries": case((MediaFile.tries > 0, MediaFile.tries - 1), else_=0)}
    if not final:
        status = case((MediaFile.status == Status.CANCELLING, Status.CANCELLED), else_=Status.QUEUED)
        values = entering(Status.QUEUED) | _error_values(error) | uncharged | {"status": status}
        _end(engine, claim, values, {Status.QUEUED, Status.CANCELLED}, None)
        return
    verdict = ending(error, tries=claim.tries, max_tries=max_tries)
    values = entering(verdict) | _error_values(error) | uncharged
    if verdict is Status.CANCELLED:
        values |= {
            name: case((MediaFile.ended_as.is_not(None), getattr(MediaFile, name)), else_=values[name])
            for name in ("ended_as", "finished_at", "error_code", "error_text")
        } | {"status": func.coalesce(MediaFile.ended_as, verdict)}
    announced = (EventKind.FAILED, {"error_code": error.code.value, "status": verdict.value})
    _end(engine, claim, values, set(ENDED) if verdict is Status.CANCELLED else {verdict}, announced)


def release(engine: Engine, claim: Claim) -> None:
    """Give the file back without a verdict, as after materialising a single stage of it. Raises LEASE_LOST.

    A generation that had ended before stays as it had ended; any other waits for a run to continue it.
    """
    cancelled = (MediaFile.status == Status.CANCELLING, Status.CANCELLED)
    before = func.coalesce(MediaFile.ended_as, case(cancelled, else_=Status.QUEUED))
    _end(engine, claim, entering(Status.QUEUED) | {"status": before}, {*ENDED, Status.QUEUED}, None)


def _error_values(error: PipelineError) -> dict[str, Any]:
    return {"error_code": error.code.value, "error_text": clean(error.sentence)}


def _end(
    engine: Engine,
    claim: Claim,
    values: dict[str, Any],
    ends: set[Status],
    announcement: tuple[EventKind, dict[str, Any]] | None,
) -> None:
    """:param ends: what `values` may make of the status."""

    def work(connection: Connection) -> None:
        if connection.execute(update(MediaFile).where(fence(claim)).values(values)).rowcount == 0:
            if _has_ended(connection, claim, ends):
                return
            raise lost(claim)
        if announcement is not None:
            events.announce_once(connection, claim.media_file_id, claim.generation, *announcement)

    write(engine, work)


def _has_ended(connection: Connection, claim: Claim, ends: set[Status]) -> bool:
    """Has this very run ended like this already? Then the transaction had committed before its connection broke."""
    statement = select(true()).where(
        MediaFile.id == claim.media_file_id,
        MediaFile.generation == claim.generation,
        MediaFile.run_id == claim.run_id,
        MediaFile.lease_owner.is_(None),
        MediaFile.status.in_(ends),
    )
    return connection.execute(statement).first() is not None


def fail_abandoned(
    engine: Engine,
    partition_key: str,
    generation: int | None,
    run_id: str,
    error: PipelineError,
    *,
    max_tries: int = 3,
) -> bool:
    """For whoever learns that a run is dead: end its file, unless it has ended or another run has taken over.

    A run that was requested for a `generation` and died before it claimed anything is covered: then nobody has claimed
    that generation yet. A run that people launched (None) counts only if it had claimed the file. A run that failed in
    order, and that nobody will retry, has left its own error, which says more than `error`. A cancel leaves a file as
    it had ended before, if it had.
    Returns whether the file has ended by this.
    """
    if generation is None:
        is_theirs = MediaFile.run_id == run_id
    else:
        is_theirs = and_(MediaFile.generation == generation, func.coalesce(MediaFile.run_id, run_id) == run_id)
    abandoned = (
        select(
            MediaFile.id,
            MediaFile.generation,
            MediaFile.status,
            MediaFile.tries,
            MediaFile.ended_as,
            MediaFile.error_code,
            MediaFile.error_text,
        )
        .where(
            MediaFile.partition_key == partition_key,
            MediaFile.status.in_((Status.QUEUED, *AT_WORK)),
            is_theirs,
        )
        .with_for_update()
    )

    def work(connection: Connection) -> bool:
        file = connection.execute(abandoned).one_or_none()
        if file is None:
            return False
        own = {"error_code": file.error_code, "error_text": file.error_text}
        # A run goes on with what does not need the stage that failed, so it may be found at work with its error noted.
        is_noted = file.error_code and (file.status is Status.QUEUED or file.error_code == error.code)
        told = own if is_noted else _error_values(error)
        if file.status is Status.CANCELLING:
            verdict = Status.CANCELLED
        else:
            known = PipelineError(ErrorCode(told["error_code"]))
            verdict = ending(known, tries=file.tries, max_tries=max_tries)
        values = entering(verdict) | told
        if verdict is Status.CANCELLED and file.ended_as in NEXT[file.status]:
            # As in `fail`: what it had when it ended before is still there.
            values = entering(Status.QUEUED) | {"status": file.ended_as}
        ended = update(MediaFile).where(MediaFile.id == file.id, may_become(values["status"])).values(values)
        connection.execute(ended)
        payload = {"error_code": told["error_code"], "status": verdict.value}
        events.announce_once(connection, file.id, file.generation, EventKind.FAILED, payload)
        return True

    return write(engine, work)
