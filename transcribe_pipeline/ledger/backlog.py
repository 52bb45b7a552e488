"""What to run next. The backlog waits here, not in Dagster's queue, and is served fairly between owners."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Select, bindparam, case, func, or_, select, update

from transcribe_pipeline.ledger.database import read, write
from transcribe_pipeline.ledger.models import Cause, MediaFile, Status


@dataclass(frozen=True)
class RunNeeded:
    """One generation of one file that a run should process."""

    partition_key: str
    owner: str
    generation: int
    object_key: str
    file_name: str
    size_bytes: int
    cause: Cause = Cause.UPLOAD
    resume_from: str | None = None
    """The stage to begin with; None for the first."""


_COLUMNS = tuple(getattr(MediaFile, name) for name in RunNeeded.__dataclass_fields__)


def next_requests(
    engine: Engine, limit: int, *, per_owner: int | None = None, now: datetime | None = None
) -> list[RunNeeded]:
    """At most `limit` files to request runs for: owners take turns, and each owner's oldest file goes first.

    What an owner already has queued or running counts as turns taken, so a flood of files from one owner does not hold
    up another's single one. Requests are past fairness once they wait in Dagster's queue, which takes the oldest first:
    with `per_owner`, no owner gets to have more than that many waiting there.
    """
    busy = (
        select(
            MediaFile.owner,
            func.count().label("files"),
            func.sum(case((MediaFile.status == Status.QUEUED, 1), else_=0)).label("queued"),
        )
        .where(MediaFile.status.in_((Status.QUEUED, Status.PROCESSING)))
        .group_by(MediaFile.owner)
        .subquery()
    )
    # People who wait for a first transcript come before those who want a better one. A tick registers many files at one
    # moment; among those the one written first is the oldest. What recovery goes on with has waited longest.
    age = (MediaFile.cause == Cause.REPROCESS, MediaFile.seen_at, MediaFile.eligible_at, MediaFile.id)
    place = func.row_number().over(partition_by=MediaFile.owner, order_by=age)
    waiting = (
        select(
            *_COLUMNS,
            (place + func.coalesce(busy.c.files, 0)).label("turn"),
            (place + func.coalesce(busy.c.queued, 0)).label("in_queue"),
            *(column.label(f"age_{number}") for number, column in enumerate(age)),
        )
        .outerjoin(busy, busy.c.owner == MediaFile.owner)
        .where(MediaFile.status == Status.PENDING, MediaFile.eligible_at <= (now or datetime.now(UTC)))
        .subquery()
    )
    wanted = [waiting.c[column.key] for column in _COLUMNS]
    order = (waiting.c.turn, *(waiting.c[f"age_{number}"] for number in range(len(age))))
    statement = select(*wanted).order_by(*order).limit(limit)
    if per_owner is not None:
        statement = statement.where(waiting.c.in_queue <= per_owner)
    return _fetch(engine, statement)


def unanswered_requests(
    engine: Engine, limit: int, *, older_than_seconds: float, now: datetime | None = None
) -> list[RunNeeded]:
    """Files whose run was requested that long ago and has claimed nothing since: request them again.

    The tick that asked may have died between our commit and Dagster's. If it had not, asking again is harmless: the
    run key is the same, and Dagster starts one run per run key. Files that a run has claimed before are not returned:
    their run key is spent.
    """
    asked_before = (now or datetime.now(UTC)) - timedelta(seconds=older_than_seconds)
    statement = (
        select(*_COLUMNS)
        .where(MediaFile.status == Status.QUEUED, MediaFile.attempts == 0, MediaFile.requested_at <= asked_before)
        .order_by(MediaFile.requested_at, MediaFile.id)
        .limit(limit)
    )
    return _fetch(engine, statement)


def mark_queued(engine: Engine, requests: Sequence[RunNeeded], *, now: datetime | None = None) -> None:
    """Runs are being requested for these. Commit this first, then request: a request lost in between is repeated.

    A file that has changed or has been claimed since it was returned is left as it is.
    """
    if not requests:
        return
    moment = now or datetime.now(UTC)
    statement = (
        update(MediaFile)
        .where(
            MediaFile.partition_key == bindparam("known_key"),
            MediaFile.generation == bindparam("known_generation"),
            or_(MediaFile.status == Status.PENDING, MediaFile.status == Status.QUEUED),
            MediaFile.attempts == 0,
        )
        .values(
            status=Status.QUEUED,
            status_since=case((MediaFile.status == Status.QUEUED, MediaFile.status_since), else_=moment),
            requested_at=moment,
        )
    )
    rows = [{"known_key": request.partition_key, "known_generation": request.generation} for request in requests]
    write(engine, lambda connection: connection.execute(statement, rows))


def count_queued(engine: Engine) -> int:
    """Files whose run has been requested and has not begun."""
    statement = select(func.count()).where(MediaFile.status == Status.QUEUED)
    return read(engine, lambda connection: connection.execute(statement).scalar_one())


def _fetch(engine: Engine, statement: Select[Any]) -> list[RunNeeded]:
    return read(engine, lambda connection: [RunNeeded(*row) for row in connection.execute(statement)])
