"""Versions of insights: kept whole, never changed, the highest of each stage is what people see."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, func, insert, select, true

from transcribe_pipeline.artifacts import InsightStage
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.insights import Insight, Insights, insight_of
from transcribe_pipeline.ledger.database import read, write
from transcribe_pipeline.ledger.leases import Claim, fence, lost
from transcribe_pipeline.ledger.models import InsightVersion, TranscriptVersion
from transcribe_pipeline.ledger.text import clean


@dataclass(frozen=True)
class InsightRecord:
    """What is known of a version without reading it. Fields are columns of `models.InsightVersion`."""

    transcript_id: str
    stage: InsightStage
    version: int
    generation: int
    run_id: str
    created_at: datetime
    digest: str
    """SHA-256 of its canonical JSON."""
    method: str
    provider: str | None
    model: str | None
    prompt_hash: str | None


@dataclass(frozen=True)
class InsightView(InsightRecord):
    value: Insight


_COLUMNS = [getattr(InsightVersion, field.name) for field in fields(InsightRecord)]


def save(engine: Engine, claim: Claim, stage: InsightStage, insight: Insight) -> InsightRecord:
    """Keep an insight as the newest version of its stage; the same as the one that people see adds none.

    Control characters and lone surrogates are left out of its text.

    :raises PipelineError: LEASE_LOST; ARTIFACT_MISSING, if its transcript is not one of the claimed file.
    """
    body: dict[str, Any] = clean(insight.model_dump(mode="json"))
    made_by = insight_of(stage, body).made_by
    digest = hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def work(connection: Connection) -> InsightRecord:
        # The locked row lets one run at a time count versions.
        if connection.execute(select(true()).where(fence(claim)).with_for_update()).first() is None:
            raise lost(claim)
        _require_transcript(connection, claim, insight.transcript_id)
        latest = _latest_record(connection, insight.transcript_id, stage)
        if latest and latest.digest == digest:
            return latest
        record = InsightRecord(
            transcript_id=insight.transcript_id,
            stage=stage,
            version=latest.version + 1 if latest else 1,
            generation=claim.generation,
            run_id=claim.run_id,
            created_at=datetime.now(UTC),
            digest=digest,
            method=made_by.method,
            provider=made_by.provider,
            model=made_by.model,
            prompt_hash=made_by.prompt_hash,
        )
        connection.execute(insert(InsightVersion).values(**vars(record), body=body))
        return record

    return write(engine, work)


def _require_transcript(connection: Connection, claim: Claim, transcript_id: str) -> None:
    own = select(true()).where(
        TranscriptVersion.id == transcript_id, TranscriptVersion.media_file_id == claim.media_file_id
    )
    if connection.execute(own).first() is None:
        raise PipelineError(ErrorCode.ARTIFACT_MISSING, "this file has no such transcript version")


def _latest_record(connection: Connection, transcript_id: str, stage: InsightStage) -> InsightRecord | None:
    statement = select(*_COLUMNS).where(_of(transcript_id, stage)).order_by(InsightVersion.version.desc()).limit(1)
    row = connection.execute(statement).one_or_none()
    return None if row is None else InsightRecord(*row)


# --- reading --------------------------------------------------------------------------------------------------------


def latest(engine: Engine, transcript_id: str) -> dict[InsightStage, InsightView]:
    """What people see of each stage that there is."""
    newest = (
        select(InsightVersion.stage, func.max(InsightVersion.version).label("version"))
        .where(InsightVersion.transcript_id == transcript_id)
        .group_by(InsightVersion.stage)
        .subquery()
    )
    statement = (
        _views()
        .join(newest, and_(InsightVersion.stage == newest.c.stage, InsightVersion.version == newest.c.version))
        .where(InsightVersion.transcript_id == transcript_id)
    )
    return {view.stage: view for view in _read(engine, statement)}


def seen(engine: Engine, transcript_id: str) -> Insights:
    """The same as one value."""
    return Insights.model_validate({stage: view.value for stage, view in latest(engine, transcript_id).items()})


def of_stage(engine: Engine, transcript_id: str, stage: InsightStage, version: int | None = None) -> InsightView | None:
    """One version of one stage, that which people see if `version` is None; None if there is no such one."""
    statement = _views().where(_of(transcript_id, stage)).order_by(InsightVersion.version.desc()).limit(1)
    if version is not None:
        statement = statement.where(InsightVersion.version == version)
    return next(iter(_read(engine, statement)), None)


def history(engine: Engine, transcript_id: str, stage: InsightStage | None = None) -> list[InsightView]:
    """Every version of a stage, or of all stages, oldest first."""
    statement = _views().where(_of(transcript_id, stage)).order_by(InsightVersion.stage, InsightVersion.version)
    return _read(engine, statement)


def versions_of(connection: Connection, transcript_ids: Sequence[str]) -> dict[str, dict[InsightStage, int]]:
    """Transcript -> stage -> the version that people see. Tells what has changed without reading any."""
    statement = (
        select(InsightVersion.transcript_id, InsightVersion.stage, func.max(InsightVersion.version))
        .where(InsightVersion.transcript_id.in_(transcript_ids))
        .group_by(InsightVersion.transcript_id, InsightVersion.stage)
    )
    found: dict[str, dict[InsightStage, int]] = {}
    for transcript_id, stage, version in connection.execute(statement):
        found.setdefault(transcript_id, {})[cast(InsightStage, stage)] = version
    return found


def _of(transcript_id: str, stage: InsightStage | None) -> ColumnElement[bool]:
    of_transcript = InsightVersion.transcript_id == transcript_id
    return of_transcript if stage is None else and_(of_transcript, InsightVersion.stage == stage)


def _views() -> Select[Any]:
    return select(*_COLUMNS, InsightVersion.body)


def _read(engine: Engine, statement: Select[Any]) -> list[InsightView]:
    rows = read(engine, lambda connection: connection.execute(statement).mappings().all())
    return [
        InsightView(**{name: row[name] for name in row if name != "body"}, value=insight_of(row["stage"], row["body"]))
        for row in rows
    ]
