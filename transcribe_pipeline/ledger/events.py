"""The outbox: what the world must be told about a file, kept until it has been told.

The functions that announce run inside the transaction that makes the event true; delivery happens outside, at least
once. An event is identified by (file, generation, kind).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, update

from transcribe_pipeline.ledger.database import read, upsert, write
from transcribe_pipeline.ledger.models import EventKind, OutboxEvent


@dataclass(frozen=True)
class Event:
    id: int
    media_file_id: str
    generation: int
    kind: EventKind
    payload: dict[str, Any]
    created_at: datetime


def announce_once(
    connection: Connection, media_file_id: str, generation: int, kind: EventKind, payload: dict[str, Any]
) -> None:
    """Append an event unless this generation already has one of its kind: people are told once."""
    values = _values(media_file_id, generation, kind, payload)
    connection.execute(upsert(connection, OutboxEvent).values(values).on_conflict_do_nothing())


def announce_latest(
    connection: Connection, media_file_id: str, generation: int, kind: EventKind, payload: dict[str, Any]
) -> None:
    """Append an event in place of an earlier one of its kind: whoever follows a state must hear of every change.

    The replacement has an id of its own, so that marking the earlier one delivered does not touch it.
    """
    connection.execute(
        delete(OutboxEvent).where(
            OutboxEvent.media_file_id == media_file_id,
            OutboxEvent.generation == generation,
            OutboxEvent.kind == kind,
        )
    )
    connection.execute(insert(OutboxEvent).values(_values(media_file_id, generation, kind, payload)))


def _values(media_file_id: str, generation: int, kind: EventKind, payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "media_file_id": media_file_id,
        "generation": generation,
        "kind": kind,
        "payload": payload,
        "created_at": datetime.now(UTC),
    }


def pending(engine: Engine, limit: int) -> list[Event]:
    """Undelivered events, oldest first."""
    statement = (
        select(
            OutboxEvent.id,
            OutboxEvent.media_file_id,
            OutboxEvent.generation,
            OutboxEvent.kind,
            OutboxEvent.payload,
            OutboxEvent.created_at,
        )
        .where(OutboxEvent.delivered_at.is_(None))
        .order_by(OutboxEvent.id)
        .limit(limit)
    )
    return read(engine, lambda connection: [Event(*row) for row in connection.execute(statement)])


def of_file(engine: Engine, media_file_id: str) -> list[dict[str, Any]]:
    """Every event of a file, delivered or not, oldest first: column -> value."""
    columns = [column for column in OutboxEvent.__table__.columns if column.key != "media_file_id"]
    statement = select(*columns).where(OutboxEvent.media_file_id == media_file_id).order_by(OutboxEvent.id)
    return read(engine, lambda connection: [dict(row._mapping) for row in connection.execute(statement)])


def mark_delivered(engine: Engine, event_ids: Sequence[int]) -> None:
    """Do not return these from `pending` again."""
    statement = update(OutboxEvent).where(OutboxEvent.id.in_(event_ids)).values(delivered_at=datetime.now(UTC))
    write(engine, lambda connection: connection.execute(statement))
