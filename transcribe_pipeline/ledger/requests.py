"""What admins ask of a file: to stop, to be processed again from some stage on, to be kept whatever retention says.

What belongs here: each of these as one conditional transaction that leaves its entry in the audit log. What does not:
which files are meant (`slices`), whether what a stage needs is still there, and Dagster's side of it
(`operations.requests`). A sealed file, which is being forgotten, is nobody's to ask about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, and_, not_, select, update

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import events
from transcribe_pipeline.ledger.database import write
from transcribe_pipeline.ledger.files import next_generation
from transcribe_pipeline.ledger.forgetting import is_sealed
from transcribe_pipeline.ledger.models import Cause, EventKind, MediaFile, Status
from transcribe_pipeline.ledger.operations import Operation, note
from transcribe_pipeline.ledger.states import ENDED, entering, may_become
from transcribe_pipeline.ledger.text import clean

_PAGE = 1_000
"""Files a transaction."""

# --- stopping -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stopped:
    """What a cancel has made of a file."""

    generation: int
    before: Status
    after: Status
    """CANCELLED, or however it had ended before. CANCELLING where a run holds it; `before` where it had ended."""
    holder: str | None
    """The run that holds it, and that has to end."""


_STOPPED = {
    Status.PENDING: Status.CANCELLED,
    Status.QUEUED: Status.CANCELLED,
    Status.PROCESSING: Status.CANCELLING,
}


def cancel(engine: Engine, partition_key: str, *, actor: str) -> Stopped:
    """Let no work on this file begin, or tell the run at work to stop. Raises FILE_UNKNOWN. May be repeated.

    The run learns it at its next sign of life or its next stage (`leases.heartbeat`, `leases.claim`), keeps its lease
    until it ends, and writes the rest.
    """
    known = select(
        MediaFile.id, MediaFile.generation, MediaFile.status, MediaFile.ended_as, MediaFile.lease_owner
    ).where(MediaFile.partition_key == partition_key, not_(is_sealed()))

    def work(connection: Connection) -> Stopped:
        file = connection.execute(known.with_for_update()).one_or_none()
        if file is None:
            raise PipelineError(ErrorCode.FILE_UNKNOWN)
        after = _STOPPED.get(file.status, file.status)
        if after is Status.CANCELLED and file.ended_as is not None:
            after = file.ended_as  # what a person had run again had ended before, and what it had then is still there
        stopped = Stopped(file.generation, file.status, after, file.lease_owner)
        if after is file.status:
            return stopped
        for values in _ending(after, file.ended_as):
            connection.execute(
                update(MediaFile).where(MediaFile.id == file.id, may_become(values["status"])).values(values)
            )
        if after is Status.CANCELLED:
            payload = {"error_code": ErrorCode.CANCELLED.value, "status": after.value}
            events.announce_once(connection, file.id, file.generation, EventKind.FAILED, payload)
        note(
            connection,
            Operation.CANCEL,
            cause=f"asked for while {file.status.value}",
            action="run told to stop" if after is Status.CANCELLING else after.value,
            actor=actor,
            media_file_id=file.id,
            generation=file.generation,
            run_id=file.lease_owner,
        )
        return stopped

    return write(engine, work)


def _ending(after: Status, ended_as: Status | None) -> list[dict[str, Any]]:
    """Columns to set, one after the other."""
    if after is Status.CANCELLING:
        return [entering(after)]
    if ended_as is not None:
        # As if its run had begun and given it back: nothing becomes complete from the queue.
        again = {"error_code": None, "error_text": None} if after is Status.COMPLETED else {}
        return [entering(Status.PROCESSING), entering(Status.QUEUED) | {"status": after} | again]
    error = PipelineError(ErrorCode.CANCELLED)
    return [entering(after) | {"error_code": error.code.value, "error_text": clean(error.sentence)}]


# --- beginning again ------------------------------------------------------------------------------------------------


def request_again(
    engine: Engine,
    partition_keys: Sequence[str],
    options: Mapping[str, Any],
    *,
    actor: str,
    clear: bool = False,
    stages: Sequence[str] = (),
    now: datetime | None = None,
) -> list[str]:
    """Have the same content of these files processed again, as a new generation that the next tick requests.

    `options` are laid over what was requested before for each file (with `clear`, in place of it), for this and all
    later generations; None takes one back. A run at work is superseded, as by new content. What nobody has begun yet
    keeps its generation. Returns the partition keys that there are; unknown ones are left out.

    :param stages: what to make again, in flow order, if not everything: the last stages. The values of the others are
        those of earlier generations.
    """
    moment = now or datetime.now(UTC)
    known = (
        select(
            MediaFile.id,
            MediaFile.partition_key,
            MediaFile.generation,
            MediaFile.status,
            MediaFile.degraded,
            MediaFile.requested_options,
            and_(MediaFile.status == Status.PENDING, MediaFile.requested_at.is_(None)).label("untouched"),
        )
        .where(not_(is_sealed()))
        .with_for_update()
    )

    def work(connection: Connection, page: Sequence[str]) -> list[str]:
        found = []
        for file in connection.execute(known.where(MediaFile.partition_key.in_(page))).all():
            before = {} if clear else file.requested_options
            wished = {name: value for name, value in (before | dict(options)).items() if value is not None}
            # Also where nobody has begun: recovery may have left it to go on after the stage that reads the options.
            again = {"base_generation": file.generation, "tries": 0} if file.untouched else next_generation(now=moment)
            values = again | _from(stages, file.degraded, Cause.REPROCESS, moment)
            values["requested_options"] = clean(wished)
            connection.execute(update(MediaFile).where(MediaFile.id == file.id).values(values))
            note(
                connection,
                Operation.REPROCESS,
                cause=f"asked for while {file.status.value}",
                action=_begun(stages),
                actor=actor,
                media_file_id=file.id,
                generation=file.generation if file.untouched else file.generation + 1,
                detail={"options": sorted(options), "clear": clear},  # their values may name people
            )
            found.append(file.partition_key)
        return found

    pages = [partition_keys[start : start + _PAGE] for start in range(0, len(partition_keys), _PAGE)]
    return [key for page in pages for key in write(engine, lambda connection, page=page: work(connection, page))]  # type: ignore[misc]


def redrive(
    engine: Engine,
    partition_key: str,
    generation: int,
    status: Status,
    stages: Sequence[str],
    *,
    actor: str,
    operation: Operation = Operation.REDRIVE,
) -> bool:
    """Have a file that has ended continued with the last `stages`, as a new generation with all its tries.

    :param generation: and `status`: as they were when it was decided. Returns whether they were so still.
    """
    known = (
        select(MediaFile.id, MediaFile.degraded, MediaFile.error_code)
        .where(
            MediaFile.partition_key == partition_key,
            MediaFile.generation == generation,
            MediaFile.status == status,
            MediaFile.status.in_(ENDED),
            MediaFile.lease_owner.is_(None),
        )
        .with_for_update()
    )

    def work(connection: Connection) -> bool:
        file = connection.execute(known).one_or_none()
        if file is None:
            return False
        now = datetime.now(UTC)
        values = next_generation(now=now) | _from(stages, file.degraded, Cause.REDRIVE, now)
        connection.execute(update(MediaFile).where(MediaFile.id == file.id).values(values))
        note(
            connection,
            operation,
            cause=f"asked for while {status.value}",
            action=_begun(stages),
            actor=actor,
            media_file_id=file.id,
            generation=generation + 1,
            detail={"error_code": file.error_code},
        )
        return True

    return write(engine, work)


def _from(stages: Sequence[str], degraded: Sequence[str], cause: Cause, now: datetime) -> dict[str, Any]:
    """Columns of a generation that makes these stages again; what lacked before them is lacking still."""
    return {
        "cause": cause,
        "resume_from": stages[0] if stages else None,
        "degraded": [stage for stage in degraded if stage not in stages] if stages else [],
        "eligible_at": now,
    }


def _begun(stages: Sequence[str]) -> str:
    return f"begun again with {stages[0]}" if stages else "begun again"


# --- keeping --------------------------------------------------------------------------------------------------------


def hold(engine: Engine, partition_key: str, reason: str | None, *, actor: str) -> None:
    """Let nothing of this file be deleted by itself, and say why; None ends that. Raises FILE_UNKNOWN."""
    known = select(MediaFile.id, MediaFile.generation, MediaFile.legal_hold).where(
        MediaFile.partition_key == partition_key, not_(is_sealed())
    )

    def work(connection: Connection) -> None:
        file = connection.execute(known.with_for_update()).one_or_none()
        if file is None:
            raise PipelineError(ErrorCode.FILE_UNKNOWN)
        wanted = clean(reason) if reason else None
        if file.legal_hold == wanted:
            return
        connection.execute(update(MediaFile).where(MediaFile.id == file.id).values(legal_hold=wanted))
        note(
            connection,
            Operation.HOLD,
            cause="asked for",
            action="held" if wanted else "released",
            actor=actor,
            media_file_id=file.id,
            generation=file.generation,
        )

    write(engine, work)
