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
from transcribe_pipeline.ledger.text import clean

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
) -> Claim:
    """Take the file for `run_id`, or renew what it already holds. `generation` None stands for the present one.

    A file is free if nobody holds a lease on it, the lease has run out, or `holder_finished(run id of the holder)`
    says that the holder is no more (asked outside of any transaction, and only if it matters).

    Raises FILE_UNKNOWN; LEASE_LOST if the generation is not the present one; LEASE_HELD if a live run holds the file.
    """

    def take(dead_holder: str | None) -> Claim | str:
        return write(
            engine, lambda connection: _take(connection, partition_key, generation, run_id, lease_seconds, dead_holder)
        )

    taken = take(None)
    if isinstance(taken, str) and holder_finished(taken):
        taken = take(taken)
    if isinstance(taken, str):
        raise PipelineError(ErrorCode.LEASE_HELD, f"run {taken}")
    return taken


def _take(
    connection: Connection,
    partition_key: str,
    generation: int | None,
    run_id: str,
    lease_seconds: float,
    dead_holder: str | None,
) -> Claim | str:
    """The claim, or the run id of who holds the file. The row is locked first, so of two claimers one comes second."""
    file = connection.execute(
        select(MediaFile.id, MediaFile.generation, MediaFile.lease_owner)
        .where(MediaFile.partition_key == partition_key)
        .with_for_update()
    ).one_or_none()
    if file is None:
        raise PipelineError(ErrorCode.FILE_UNKNOWN)
    if generation not in (None, file.generation):
        raise PipelineError(ErrorCode.LEASE_LOST, f"generation {generation}; the file is at {file.generation}")
    returning_run = MediaFile.run_id == run_id
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
            attempts=MediaFile.attempts + case((returning_run, 0), else_=1),
            started_at=case((returning_run, MediaFile.started_at), else_=datetime.now(UTC)),
            run_id=run_id,
            lease_owner=run_id,
            lease_until=clock() + lease_seconds,
        )
    )
    if connection.execute(statement).rowcount == 0:
        return str(file.lease_owner)
    row = connection.execute(_CLAIMED.where(MediaFile.id == file.id)).one()
    values = row._asdict() | {"degraded": tuple(row.degraded)}
    return Claim(**values, run_id=run_id, lease_seconds=lease_seconds)


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
    MediaFile.stage,
    MediaFile.degraded,
    MediaFile.sidecars,
    MediaFile.requested_options,
    TranscriptVersion.source_sha256.label("transcribed_sha256"),
    TranscriptVersion.sidecars.label("transcribed_sidecars"),
).outerjoin(TranscriptVersion, TranscriptVersion.id == MediaFile.current_transcript_id)


# --- holding --------------------------------------------------------------------------------------------------------


def heartbeat(engine: Engine, claim: Claim, *, progress: float | None = None, stage: str | None = None) -> None:
    """Renew the lease; say where the work is. Progress (0..1) never falls. Raises LEASE_LOST."""
    values: dict[str, Any] = {"lease_until": clock() + claim.lease_seconds}
    if stage is not None:
        values["stage"] = stage
    if progress is not None:
        reached = min(progress, _PROGRESS_BEFORE_COMMIT)
        values["progress"] = case((MediaFile.progress < reached, reached), else_=MediaFile.progress)
    _update(engine, claim, values)


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

_NO_LEASE: dict[str, Any] = {"lease_owner": None, "lease_until": None}


def complete(engine: Engine, claim: Claim, *, degraded: Sequence[str] = ()) -> None:
    """The file is done; `degraded` names stages that failed without costing the transcript, beside those noted before.

    Raises LEASE_LOST.
    """
    noted = read(engine, lambda connection: connection.execute(select(MediaFile.degraded).where(fence(claim))).scalar())
    degraded = list(dict.fromkeys([*(noted or ()), *degraded]))
    values = _NO_LEASE | {
        "status": Status.COMPLETED,
        "progress": 1.0,
        "stage": None,
        "finished_at": datetime.now(UTC),
        "error_code": None,
        "error_text": None,
        "degraded": degraded,
    }
    _end(engine, claim, values, (EventKind.COMPLETED, {"degraded": degraded}))


def fail(engine: Engine, claim: Claim, error: PipelineError, *, final: bool) -> None:
    """The run has failed. `final`: the file is in ERROR; otherwise another run of this generation is to come (QUEUED).

    Raises LEASE_LOST.
    """
    values = _NO_LEASE | _error_values(error)
    if final:
        failed = (EventKind.FAILED, {"error_code": error.code.value})
        _end(engine, claim, values | {"status": Status.ERROR, "finished_at": datetime.now(UTC)}, failed)
    else:
        _end(engine, claim, values | {"status": Status.QUEUED}, None)


def release(engine: Engine, claim: Claim) -> None:
    """Give the file back without a verdict, as after materialising a single stage of it. Raises LEASE_LOST.

    A generation that had ended before stays as it had ended; any other waits for a run to continue it.
    """
    before = case(
        (MediaFile.finished_at.is_(None), Status.QUEUED),
        (MediaFile.error_code.is_not(None), Status.ERROR),
        else_=Status.COMPLETED,
    )
    _end(engine, claim, _NO_LEASE | {"status": before}, None)


def _error_values(error: PipelineError) -> dict[str, Any]:
    return {"error_code": error.code.value, "error_text": clean(error.sentence)}


def _end(
    engine: Engine, claim: Claim, values: dict[str, Any], announcement: tuple[EventKind, dict[str, Any]] | None
) -> None:
    def work(connection: Connection) -> None:
        if connection.execute(update(MediaFile).where(fence(claim)).values(values)).rowcount == 0:
            if _has_ended(connection, claim, values["status"]):
                return
            raise lost(claim)
        if announcement is not None:
            events.announce_once(connection, claim.media_file_id, claim.generation, *announcement)

    write(engine, work)


def _has_ended(connection: Connection, claim: Claim, status: Any) -> bool:
    """Has this very run ended like this already? Then the transaction had committed before its connection broke."""
    statement = select(true()).where(
        MediaFile.id == claim.media_file_id,
        MediaFile.generation == claim.generation,
        MediaFile.run_id == claim.run_id,
        MediaFile.lease_owner.is_(None),
        MediaFile.status == status,
    )
    return connection.execute(statement).first() is not None


def fail_abandoned(
    engine: Engine, partition_key: str, generation: int | None, run_id: str, error: PipelineError
) -> bool:
    """For whoever learns that a run is dead: put its file in ERROR, unless it has ended or another run has taken over.

    A run that was requested for a `generation` and died before it claimed anything is covered: then nobody has claimed
    that generation yet. A run that people launched (None) counts only if it had claimed the file. A run that failed in
    order, and that nobody will retry, has left its own error, which says more than `error`.
    Returns whether the file was put in ERROR.
    """
    failed_in_order = and_(MediaFile.status == Status.QUEUED, MediaFile.error_code.is_not(None))
    verdict = {
        column: case((failed_in_order, getattr(MediaFile, column)), else_=value)
        for column, value in _error_values(error).items()
    }
    if generation is None:
        is_theirs = MediaFile.run_id == run_id
    else:
        is_theirs = and_(MediaFile.generation == generation, func.coalesce(MediaFile.run_id, run_id) == run_id)
    abandoned = (
        select(MediaFile.id, MediaFile.generation)
        .where(
            MediaFile.partition_key == partition_key,
            MediaFile.status.in_((Status.QUEUED, Status.PROCESSING)),
            is_theirs,
        )
        .with_for_update()
    )
    ending = _NO_LEASE | verdict | {"status": Status.ERROR, "finished_at": datetime.now(UTC)}

    def work(connection: Connection) -> bool:
        file = connection.execute(abandoned).one_or_none()
        if file is None:
            return False
        connection.execute(update(MediaFile).where(MediaFile.id == file.id).values(ending))
        told = {"error_code": error.code.value}
        events.announce_once(connection, file.id, file.generation, EventKind.FAILED, told)
        return True

    return write(engine, work)
