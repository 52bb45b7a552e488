"""Days of a ledger: files that were received, worked on and ended at given times, as many as wanted.

Rows are written as they would be found, since the ledger's own functions write the present time; that those write what
is read here is held by `test_collecting`, which goes through them.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Engine, insert

from transcribe_pipeline.ledger.database import write
from transcribe_pipeline.ledger.models import (
    EventKind,
    LanguageModelCall,
    MediaFile,
    OperationEntry,
    OutboxEvent,
    Outcome,
    StageTiming,
    Status,
    TranscriptVersion,
)

DAY = date(2026, 5, 4)
MIDNIGHT = datetime.combine(DAY, time.min, UTC)


def at(hours: float) -> datetime:
    """Hours after the day has begun; negative for the day before."""
    return MIDNIGHT + timedelta(hours=hours)


@dataclass(frozen=True)
class Run:
    stage: str
    begin: float
    """Hours, as of every time here."""
    seconds: float
    error_code: str | None = None
    cpu_seconds: float | None = None
    gpu_seconds: float | None = None
    generation: int = 1


@dataclass(frozen=True)
class Version:
    made: float
    audio_seconds: float = 600.0
    words: int = 1500
    speakers: int = 2
    language: str = "en"
    generation: int = 1
    held_back: str | None = None


@dataclass(frozen=True)
class End:
    at: float
    status: Status = Status.COMPLETED
    error_code: str | None = None
    degraded: tuple[str, ...] = ()
    generation: int = 1


@dataclass(frozen=True)
class Call:
    begun: float
    model: str = "qwen3"
    tokens_in: int | None = 1000
    tokens_out: int | None = 100
    cost_usd: float | None = None
    outcome: str = "answered"


@dataclass(frozen=True)
class File:
    owner: str
    received: float
    runs: Sequence[Run] = ()
    versions: Sequence[Version] = ()
    ends: Sequence[End] = ()
    calls: Sequence[Call] = ()
    operations: Sequence[tuple[float, str]] = ()
    """(when, which)."""
    key: str = field(default_factory=lambda: f"file-{uuid.uuid4().hex[:12]}")


def record(engine: Engine, files: Sequence[File]) -> None:
    rows: dict[Any, list[dict[str, Any]]] = {
        table: []
        for table in (MediaFile, TranscriptVersion, StageTiming, OutboxEvent, LanguageModelCall, OperationEntry)
    }
    for file in files:
        _add(rows, file)

    def work(connection: Any) -> None:
        for table, values in rows.items():
            if values:
                connection.execute(insert(table), values)

    write(engine, work)


def _add(rows: dict[Any, list[dict[str, Any]]], file: File) -> None:
    id_ = str(uuid.uuid4())
    received = at(file.received)
    rows[MediaFile].append(
        {
            "id": id_,
            "partition_key": file.key,
            "object_key": f"uploads/{file.owner}/{file.key}",
            "owner": file.owner,
            "file_name": file.key,
            "registered_at": received,
            "etag": "e",
            "size_bytes": 1,
            "modified_at": received,
            "seen_at": received,
            "eligible_at": received,
            "generation": max((end.generation for end in file.ends), default=1),
            "status": file.ends[-1].status if file.ends else Status.PENDING,
            "progress": 0.0,
            "attempts": 0,
            "degraded": [],
        }
    )
    of_file: dict[str, Any] = {"media_file_id": id_}
    for number, version in enumerate(file.versions, start=1):
        rows[TranscriptVersion].append(of_file | _version(version, number))
    for number, run in enumerate(file.runs):
        begin = at(run.begin)
        rows[StageTiming].append(
            of_file
            | {
                "run_id": f"run-{number}",
                "stage": run.stage,
                "generation": run.generation,
                "started_at": begin,
                "finished_at": begin + timedelta(seconds=run.seconds),
                "seconds": run.seconds,
                "cpu_seconds": run.cpu_seconds,
                "gpu_seconds": run.gpu_seconds,
                "outcome": Outcome.FAILED if run.error_code else Outcome.SUCCEEDED,
                "error_code": run.error_code,
            }
        )
    for end in file.ends:
        done = end.status is Status.COMPLETED
        told = {"degraded": list(end.degraded)} if done else {"error_code": end.error_code, "status": end.status.value}
        rows[OutboxEvent].append(
            of_file
            | {
                "generation": end.generation,
                "kind": EventKind.COMPLETED if done else EventKind.FAILED,
                "payload": told,
                "created_at": at(end.at),
            }
        )
    for call in file.calls:
        rows[LanguageModelCall].append(
            of_file
            | {
                "id": str(uuid.uuid4()),
                "generation": 1,
                "run_id": "run-0",
                "stage": "summary",
                "provider": "ollama",
                "model": call.model,
                "started_at": at(call.begun),
                "seconds": 1.0,
                "outcome": call.outcome,
                "turn": 0,
                "tokens_counted": 1000,
                "tokens_in": call.tokens_in,
                "tokens_out": call.tokens_out,
                "cost_usd": call.cost_usd,
                "detail": "",
            }
        )
    for when, operation in file.operations:
        rows[OperationEntry].append(
            of_file
            | {
                "id": str(uuid.uuid4()),
                "at": at(when),
                "operation": operation,
                "cause": "c",
                "action": "a",
                "actor": "t",
                "generation": 1,
                "detail": {},
            }
        )


def _version(version: Version, number: int) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "version": number,
        "generation": version.generation,
        "digest": uuid.uuid4().hex,
        "run_id": "run-0",
        "created_at": at(version.made),
        "artifact_key": "x",
        "held_back": version.held_back,
        "provenance": {},
        "segment_count": 1,
        "word_count": version.words,
        "speaker_count": version.speakers,
        "language": version.language,
        "language_probability": 1.0,
        "audio_seconds": version.audio_seconds,
        "no_speech": version.words == 0,
        "recogniser": "r",
        "diarizer": "d",
        "word_times": "recogniser",
        "quality": {},
        "paragraphs": [],
        "turns": [],
    }
