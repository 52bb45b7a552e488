"""What was asked of language models: how often, how long, how much. Written by the runs, read by people and reports."""

import uuid
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Integer, Select, cast, func, select

from transcribe_pipeline.language_models.port import Call
from transcribe_pipeline.ledger.database import read, upsert, write
from transcribe_pipeline.ledger.leases import Claim
from transcribe_pipeline.ledger.models import LanguageModelCall, MediaFile
from transcribe_pipeline.ledger.text import clean


@dataclass(frozen=True)
class RecordedCall:
    """Fields are columns of `models.LanguageModelCall`; what they mean is said at `language_models.port.Call`."""

    run_id: str
    generation: int
    stage: str
    provider: str
    model: str
    started_at: datetime
    seconds: float
    outcome: str
    turn: int
    tokens_counted: int
    tokens_in: int | None
    tokens_out: int | None
    cost_usd: float | None
    detail: str


@dataclass(frozen=True)
class Total:
    """All calls of one model together."""

    provider: str
    model: str
    calls: int
    failures: int
    """Calls that were not answered."""
    tokens_in: int
    """As far as the provider reported them, as the next."""
    tokens_out: int
    seconds: float
    cost_usd: float | None
    """Of the calls whose price is known; None if that is none."""


def record(engine: Engine, claim: Claim, stage: str, call: Call) -> None:
    """Keep one call. Not fenced: what a run has spent is spent, even if it has just lost its lease."""
    values = clean(asdict(call)) | {
        "id": str(uuid.uuid4()),
        "media_file_id": claim.media_file_id,
        "generation": claim.generation,
        "run_id": claim.run_id,
        "stage": stage,
    }
    del values["task"]
    write(
        engine,
        # The same call again, if the transaction is repeated after it has committed.
        lambda connection: connection.execute(
            upsert(connection, LanguageModelCall).values(values).on_conflict_do_nothing()
        ),
    )


def of_file(engine: Engine, media_file_id: str) -> list[RecordedCall]:
    """Every call about a file, all runs and generations, in order of time."""
    statement = (
        select(*(getattr(LanguageModelCall, field.name) for field in fields(RecordedCall)))
        .where(LanguageModelCall.media_file_id == media_file_id)
        .order_by(LanguageModelCall.started_at, LanguageModelCall.id)
    )
    return read(engine, lambda connection: [RecordedCall(*row) for row in connection.execute(statement)])


def totals(
    engine: Engine, *, owner: str | None = None, since: datetime | None = None, until: datetime | None = None
) -> list[Total]:
    """By provider and model, in that order: of all files or of an owner's; of all time, or of calls begun from `since`
    until just before `until`."""
    statement = _summed().where(*_wanted(owner, since, until))
    return read(engine, lambda connection: [Total(*row._tuple()) for row in connection.execute(statement)])


def totals_by_owner(
    connection: Connection, *, since: datetime, until: datetime, owner: str | None = None
) -> list[tuple[str, Total]]:
    """(owner, total) of the calls begun in this time."""
    statement = _summed(MediaFile.owner).where(*_wanted(owner, since, until))
    return [(row[-1], Total(*row[:-1])) for row in connection.execute(statement)]


def _summed(*groups: Any) -> Select[Any]:
    call = LanguageModelCall
    return (
        select(
            call.provider,
            call.model,
            func.count(),
            func.sum(cast(call.outcome != "answered", Integer)),
            func.sum(func.coalesce(call.tokens_in, 0)),
            func.sum(func.coalesce(call.tokens_out, 0)),
            func.sum(call.seconds),
            func.sum(call.cost_usd),
            *groups,
        )
        .join(MediaFile, MediaFile.id == call.media_file_id)
        .group_by(*groups, call.provider, call.model)
        .order_by(*groups, call.provider, call.model)
    )


def _wanted(owner: str | None, since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    wanted = []
    if owner is not None:
        wanted.append(MediaFile.owner == owner)
    if since is not None:
        wanted.append(LanguageModelCall.started_at >= since)
    if until is not None:
        wanted.append(LanguageModelCall.started_at < until)
    return wanted
