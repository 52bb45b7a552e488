"""What may become of a file: the one state machine, which every write of a status goes through.

What belongs here: which status may follow which, which one an ending leads to, and what people call the result. What
does not: who decides (runs in `leases`, people in `requests`, recovery in `recovery`).

A generation begins PENDING and goes through these states. The database holds the same table as a trigger (migration
0005), so that not even a statement typed by hand can make a change that is not in it: `NEXT` may only be changed
together with another migration, and a test tries every pair on both databases.

                     +-------------------- a person asks again, or a run of theirs claims it --------------------+
                     v                                                                                           |
    PENDING ---> QUEUED <---> PROCESSING ---> COMPLETED, ERROR, ORPHANED, QUARANTINED, CANCELLED  ---------------+
       |            |             |
       |            |             +---> CANCELLING ---> CANCELLED (or however the work ended first)
       +------------+---> CANCELLED, ORPHANED; from QUEUED also ERROR and QUARANTINED
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, not_

from transcribe_pipeline.errors import ErrorClass, ErrorCode, PipelineError
from transcribe_pipeline.ledger.models import MediaFile, Status

_ENDS = frozenset({Status.COMPLETED, Status.ERROR, Status.ORPHANED, Status.QUARANTINED, Status.CANCELLED})

NEXT: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.QUEUED, Status.PROCESSING, Status.CANCELLED, Status.ORPHANED}),
    Status.QUEUED: _ENDS - {Status.COMPLETED} | {Status.PROCESSING},
    Status.PROCESSING: _ENDS | {Status.QUEUED, Status.CANCELLING},
    Status.CANCELLING: _ENDS,
    Status.COMPLETED: frozenset({Status.PROCESSING}),
    Status.ERROR: frozenset({Status.PROCESSING, Status.ORPHANED, Status.QUARANTINED}),
    Status.CANCELLED: frozenset({Status.PROCESSING}),
    Status.ORPHANED: frozenset({Status.PROCESSING}),
    Status.QUARANTINED: frozenset({Status.PROCESSING}),
}
"""Within a generation. Another generation begins PENDING, whatever the one before had come to."""

AT_WORK = (Status.PROCESSING, Status.CANCELLING)
"""Exactly these hold a lease."""
UNFINISHED = (Status.PENDING, Status.QUEUED, *AT_WORK)
ENDED = tuple(sorted(_ENDS))


class State(StrEnum):
    """What people see: a status, with completed files told apart by whether anything is missing."""

    PENDING = "pending"
    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    DEGRADED = "degraded"
    """Completed: the transcript is there, and a later stage is not."""
    ERROR = "error"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    ORPHANED = "orphaned"
    QUARANTINED = "quarantined"


def state_of(status: Status, degraded: object) -> State:
    """:param degraded: the file's degraded stages, if any."""
    return State.DEGRADED if status is Status.COMPLETED and degraded else State(status.value)


def in_state(state: State) -> ColumnElement[bool]:
    """The files of which `state_of` says this."""
    if state not in (State.COMPLETED, State.DEGRADED):
        return MediaFile.status == Status(state.value)
    is_whole = cast(MediaFile.degraded, Text) == "[]"
    return and_(MediaFile.status == Status.COMPLETED, is_whole if state is State.COMPLETED else not_(is_whole))


def entering(status: Status) -> dict[str, Any]:
    """Columns to set, beside the status's own, when a file enters it."""
    now = datetime.now(UTC)
    values: dict[str, Any] = {"status": status, "status_since": now}
    if status not in AT_WORK:
        values |= {"lease_owner": None, "lease_until": None}
    if status in _ENDS:
        values |= {"finished_at": now, "ended_as": status}
    return values


def may_become(status: Status) -> ColumnElement[bool]:
    """Belongs into the WHERE of every UPDATE that sets this status within a generation."""
    return MediaFile.status.in_([before for before, after in NEXT.items() if status in after])


def ending(error: PipelineError, *, tries: int, max_tries: int) -> Status:
    """What a failure that nobody will retry by itself makes of a file.

    :param tries: runs that the pipeline has started for this content, this one included.
    :param max_tries: after so many, a passing failure is no longer taken for one.
    """
    if error.code is ErrorCode.CANCELLED:
        return Status.CANCELLED
    if error.code is ErrorCode.SOURCE_GONE:
        return Status.ORPHANED
    is_passing = error.error_class is not ErrorClass.PERMANENT
    if error.code is ErrorCode.TRIES_EXHAUSTED or (is_passing and tries >= max_tries):
        return Status.QUARANTINED
    return Status.ERROR
