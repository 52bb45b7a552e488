"""What a recovery pass costs while nothing is wrong.

    python -m benchmarks.recovery_speed [--files 10000] [--queued 100] [--rounds 5] [--postgresql-url URL]

Fills an empty SQLite ledger, and the PostgreSQL database where one is named (its tables are emptied!), with files of
which 4 % wait in the backlog, some in Dagster's queue for three hours and two are at work; Dagster's instance is on
SQLite. Prints the median seconds of a pass as the schedule makes it, and of the hourly one that also lists the store
(with the uploads of all files, and no results).
"""

import argparse
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import dagster as dg
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from sqlalchemy import Engine, insert, update

from transcribe_pipeline.ledger.database import clock, connect, migrate
from transcribe_pipeline.ledger.models import Base, MediaFile, Status
from transcribe_pipeline.operations.recovery import recover
from transcribe_pipeline.resources.object_store import ObjectStore, open_store
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.stage import GENERATION_TAG

WAITING_SHARE = 0.04
ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("code"), "repository"), "idle")


@dg.op
def nothing() -> None: ...


@dg.job
def idle() -> None:
    nothing()


def fill(engine: Engine, files: int, queued: int) -> None:
    then = datetime.now(UTC) - timedelta(hours=3)
    statuses = [Status.PROCESSING] * 2 + [Status.QUEUED] * queued + [Status.PENDING] * int(files * WAITING_SHARE)
    statuses += [Status.COMPLETED] * (files - len(statuses))
    with engine.begin() as connection:
        connection.execute(update(MediaFile).values(current_transcript_id=None))
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
        connection.execute(insert(MediaFile), [_file(n, status, then) for n, status in enumerate(statuses)])
        lease = {"lease_owner": "run", "lease_until": clock() + 3600}
        connection.execute(update(MediaFile).where(MediaFile.status == Status.PROCESSING).values(lease))


def _file(number: int, status: Status, then: datetime) -> dict[str, object]:
    moments = ("registered_at", "modified_at", "seen_at", "eligible_at", "status_since", "requested_at", "finished_at")
    return {
        **dict.fromkeys(moments, then),
        "id": str(uuid.uuid4()),
        "partition_key": f"file-{number}",
        "object_key": f"uploads/ann/{number}.wav",
        "owner": "ann",
        "file_name": f"{number}.wav",
        "etag": "e",
        "size_bytes": 1,
        "generation": 1,
        "status": status,
        "progress": 0.0,
        "attempts": 0,
        "degraded": [],
    }


def queue_runs(instance: dg.DagsterInstance, queued: int) -> None:
    for number in range(2, 2 + queued):
        tags = {"dagster/partition": f"file-{number}", GENERATION_TAG: "1"}
        status = dg.DagsterRunStatus.QUEUED
        instance.create_run_for_job(idle, tags=tags, status=status, remote_job_origin=ORIGIN)


def fill_store(folder: Path, files: int) -> ObjectStore:
    uploads = folder / "uploads" / "ann"
    uploads.mkdir(parents=True)
    for number in range(files):
        (uploads / f"{number}.wav").touch()
    return open_store(folder.as_uri())


def measure(rounds: int, work: Callable[[], object]) -> float:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--queued", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--postgresql-url")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, dg.DagsterInstance.local_temp(name) as instance:
        folder = Path(name)
        queue_runs(instance, asked.queued)
        store = fill_store(folder / "store", asked.files)
        for url in filter(None, (f"sqlite:///{folder}/ledger.db", asked.postgresql_url)):
            ledger = connect(url)
            migrate(ledger)
            fill(ledger, asked.files, asked.queued)

            def one_pass(scan: bool, ledger: Engine = ledger) -> None:
                made = recover(ledger, instance, store, Settings(), actor="benchmark", scan_orphans=scan)
                assert not made.done, made.done

            quick = measure(asked.rounds, lambda: one_pass(False))
            hourly = measure(asked.rounds, lambda: one_pass(True))
            print(f"{ledger.dialect.name}: {asked.files:,} files; pass {quick:.2f} s, hourly pass {hourly:.2f} s")
            ledger.dispose()


if __name__ == "__main__":
    main()
