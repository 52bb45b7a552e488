"""The audit log: what recovery, cleanup and admins did, to which file, why, and with what evidence.

Entries about a file are written in the transaction that does what they say. They name no person's file and quote no
speech: `media_file_id` leads to both as long as the file is there, and goes with it.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, func, insert, select

from transcribe_pipeline.ledger.database import read
from transcribe_pipeline.ledger.models import OperationEntry


class Operation(StrEnum):
    RECOVERY = "recovery"
    QUARANTINE = "quarantine"
    EMERGENCY_RECOVERY = "emergency_recovery"
    REPROCESS = "reprocess"
    REDRIVE = "redrive"
    CANCEL = "cancel"
    HOLD = "hold"
    INTAKE = "intake"
    CLEANUP = "cleanup"
    RETENTION = "retention"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True)
class Entry:
    """Fields are columns of `models.OperationEntry`."""

    id: str
    at: datetime
    operation: str
    cause: str
    action: str
    actor: str
    media_file_id: str | None
    generation: int | None
    run_id: str | None
    detail: dict[str, Any]


def note(
    connection: Connection,
    operation: Operation,
    *,
    cause: str,
    action: str,
    actor: str,
    media_file_id: str | None = None,
    generation: int | None = None,
    run_id: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append an entry, within the transaction that does what it says."""
    connection.execute(
        insert(OperationEntry).values(
            id=str(uuid.uuid4()),
            at=datetime.now(UTC),
            operation=operation.value,
            cause=cause,
            action=action,
            actor=actor,
            media_file_id=media_file_id,
            generation=generation,
            run_id=run_id,
            detail=dict(detail or {}),
        )
    )


def of_file(engine: Engine, media_file_id: str) -> list[Entry]:
    """Everything done to a file, oldest first."""
    return _fetch(engine, [OperationEntry.media_file_id == media_file_id])[::-1]


def recent(
    engine: Engine, *, operation: Operation | None = None, since: datetime | None = None, limit: int = 1_000
) -> list[Entry]:
    """Newest first."""
    wanted = []
    if operation is not None:
        wanted.append(OperationEntry.operation == operation.value)
    if since is not None:
        wanted.append(OperationEntry.at >= since)
    return _fetch(engine, wanted, limit)


@dataclass(frozen=True)
class Count:
    operation: str
    cause: str
    action: str
    entries: int


def counts(engine: Engine, since: datetime, until: datetime | None = None) -> list[Count]:
    """How often what was done for which cause."""
    kinds = (OperationEntry.operation, OperationEntry.cause, OperationEntry.action)
    statement = select(*kinds, func.count()).where(OperationEntry.at >= since).group_by(*kinds).order_by(*kinds)
    if until is not None:
        statement = statement.where(OperationEntry.at < until)
    return read(engine, lambda connection: [Count(*row) for row in connection.execute(statement)])


def _fetch(engine: Engine, wanted: Sequence[ColumnElement[bool]], limit: int | None = None) -> list[Entry]:
    columns = [getattr(OperationEntry, name) for name in Entry.__dataclass_fields__]
    statement = select(*columns).where(*wanted).order_by(OperationEntry.at.desc(), OperationEntry.id).limit(limit)
    return read(engine, lambda connection: [Entry(*row) for row in connection.execute(statement)])
