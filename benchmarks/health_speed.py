"""How fast the health report is made over a large ledger, and what each part of it takes.

    python -m benchmarks.health_speed [--files 10000] [--timings 200000] [--runs 1000] [--rounds 5]
        [--postgresql-url URL]

Fills an empty SQLite ledger, and the PostgreSQL database where one is named (its tables are emptied!), with files of
which 10 % are not finished, stage timings and an audit log of the last 31 days, and prints the median seconds of the
ledger's figures, and of the whole report with the embedded services and a Dagster instance on SQLite.
"""

import argparse
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import dagster as dg
from sqlalchemy import Connection, Engine, bindparam, insert, update

from transcribe_pipeline.ledger import health as figures_of_health
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.ledger.models import (
    Base,
    MediaFile,
    OperationEntry,
    Outcome,
    StageTiming,
    Status,
    TranscriptVersion,
)
from transcribe_pipeline.operations import health
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.stage import STAGES

ROOT = Path(__file__).parents[1]
DAYS = 31
OWNERS = 20
UNFINISHED_SHARE = 0.1
AUDIT_ENTRIES_PER_DAY = 1_000
BATCH = 2_000
ENDS = [Status.COMPLETED] * 95 + [Status.ERROR] * 3 + [Status.QUARANTINED, Status.CANCELLED]


def fill(engine: Engine, files: int, timings: int, now: datetime) -> None:
    """The same each time but for `now`."""
    chance = random.Random(0)
    with engine.begin() as connection:
        connection.execute(update(MediaFile).values(current_transcript_id=None))
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
        made = [_file(number, chance, now) for number in range(files)]
        _insert(connection, MediaFile, made)
        done = [file for file in made if file["status"] is Status.COMPLETED]
        _insert(connection, TranscriptVersion, [_transcript(file, chance) for file in done])
        _link(connection, done)
        _insert(connection, StageTiming, islice(_timings(done, chance), timings))
        _insert(connection, OperationEntry, _audit(chance, now))
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("ANALYZE")


def _file(number: int, chance: random.Random, now: datetime) -> dict[str, Any]:
    unfinished = chance.random() < UNFINISHED_SHARE
    finished_at = now - timedelta(days=chance.random() * DAYS)
    status = chance.choice((Status.PENDING, Status.QUEUED, Status.PROCESSING)) if unfinished else chance.choice(ENDS)
    moment = now - timedelta(hours=chance.random() * 5) if unfinished else finished_at
    at_work = status is Status.PROCESSING
    return {
        "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "partition_key": f"file-{number:06}",
        "object_key": f"uploads/owner{number % OWNERS}/file-{number:06}.mp3",
        "owner": f"owner{number % OWNERS}",
        "file_name": f"file-{number:06}.mp3",
        "registered_at": moment,
        "etag": "e",
        "size_bytes": chance.randrange(1_000_000, 100_000_000),
        "modified_at": moment,
        "seen_at": moment,
        "eligible_at": moment,
        "generation": 1,
        "status": status,
        "status_since": moment,
        "ended_as": None if unfinished else status,
        "stage": "transcription" if at_work else None,
        "progress": 0.0,
        "attempts": chance.choice((1, 1, 1, 2)),
        "requested_at": moment,
        "started_at": moment - timedelta(minutes=5),
        "finished_at": None if unfinished else finished_at,
        "run_id": str(number),
        "lease_owner": str(number) if at_work else None,
        "lease_until": now.timestamp() + 60 if at_work else None,
        "error_code": "STORE_UNAVAILABLE" if status is Status.ERROR else None,
        "degraded": ["summary"] if status is Status.COMPLETED and chance.random() < 0.02 else [],
    }


def _transcript(file: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    return {
        "id": file["id"],
        "media_file_id": file["id"],
        "version": 1,
        "generation": 1,
        "digest": file["partition_key"],
        "run_id": file["run_id"],
        "created_at": file["finished_at"],
        "artifact_key": "",
        "provenance": {},
        "segment_count": 1,
        "word_count": 1,
        "speaker_count": 1,
        "language": "en",
        "language_probability": 1.0,
        "audio_seconds": chance.uniform(30, 7200),
        "no_speech": False,
        "recogniser": "",
        "diarizer": "",
        "word_times": "",
        "quality": {},
        "paragraphs": [],
        "turns": [],
    }


def _timings(done: Sequence[dict[str, Any]], chance: random.Random) -> Iterator[dict[str, Any]]:
    for run in range(1_000):
        for file in done:
            for stage in STAGES:
                seconds = chance.expovariate(1 / 30)
                failed = chance.random() < 0.02
                finished_at = file["finished_at"] - timedelta(seconds=chance.random() * 600)
                yield {
                    "run_id": f"{file['run_id']}-{run}",
                    "media_file_id": file["id"],
                    "stage": stage,
                    "generation": 1,
                    "started_at": finished_at - timedelta(seconds=seconds),
                    "finished_at": finished_at,
                    "seconds": seconds,
                    "cpu_seconds": seconds,
                    "gpu_seconds": None,
                    "outcome": Outcome.FAILED if failed else Outcome.SUCCEEDED,
                    "error_code": "STORE_UNAVAILABLE" if failed else None,
                }


def _audit(chance: random.Random, now: datetime) -> Iterator[dict[str, Any]]:
    for _ in range(DAYS * AUDIT_ENTRIES_PER_DAY):
        yield {
            "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            "at": now - timedelta(days=chance.random() * DAYS),
            "operation": "recovery",
            "cause": chance.choice(("run dead", "run lost", "retry lost")),
            "action": "requested again",
            "actor": "stuck_files",
            "detail": {},
        }


def _insert(connection: Connection, table: type[Base], rows: Any) -> None:
    rows = iter(rows)
    while batch := list(islice(rows, BATCH)):
        connection.execute(insert(table), batch)


def _link(connection: Connection, done: Sequence[dict[str, Any]]) -> None:
    statement = update(MediaFile.__table__).where(MediaFile.__table__.c.id == bindparam("file"))  # type: ignore[arg-type]
    rows = [{"file": file["id"], "transcript": file["id"]} for file in done]
    connection.execute(statement.values(current_transcript_id=bindparam("transcript")), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--timings", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=1_000, help="In Dagster's history.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--postgresql-url")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        configured = Settings(home=Path(folder), search_model="none")
        with dagster_with_history(Path(folder) / "dagster", arguments.runs) as instance:
            urls = [configured.resolved_database_url.get_secret_value(), *filter(None, [arguments.postgresql_url])]
            for url in urls:
                engine = connect(url)
                migrate(engine)
                now = datetime.now(UTC)
                fill(engine, arguments.files, arguments.timings, now)
                figures = _seconds(arguments.rounds, partial(_figures, engine, now))
                whole = _seconds(
                    arguments.rounds,
                    partial(health.collect, engine, lambda: nullcontext(instance), configured, now=now),
                )
                print(f"{engine.dialect.name:<12} ledger {_spread(figures)}, whole report {_spread(whole)}")
                engine.dispose()


@contextmanager
def dagster_with_history(home: Path, runs: int) -> Iterator[dg.DagsterInstance]:
    """An instance as it is installed, with so many finished runs."""
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for _ in range(runs):
            instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.SUCCESS)
        yield instance


@dg.job
def nothing() -> None: ...


def _figures(engine: Engine, now: datetime) -> object:
    return figures_of_health.figures(engine, now, lease_seconds=90, retention_failed_days=30)


def _seconds(rounds: int, work: Callable[[], object]) -> list[tuple[float, float]]:
    """Elapsed, and of this process's processors."""
    taken = []
    for _ in range(rounds):
        started, worked = time.perf_counter(), time.process_time()
        work()
        taken.append((time.perf_counter() - started, time.process_time() - worked))
    return taken


def _spread(seconds: Sequence[tuple[float, float]]) -> str:
    elapsed, worked = zip(*seconds, strict=True)
    return f"{median(elapsed):.2f} s (worst {max(elapsed):.2f} s, processor {median(worked):.2f} s)"


if __name__ == "__main__":
    main()
