"""What a run costs Dagster on disk, what pruning gives back, and how long a cleanup plan takes.

    python -m benchmarks.housekeeping [RUNS] [FILES]

Runs have 20 steps, about as many as the pipeline's; files have 25 objects each, in a folder. Seconds are of the
processor alone, so that they hold on a machine that does other things as well.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from transcribe_pipeline.artifacts import ListedUpload
from transcribe_pipeline.ledger import files
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.operations.cleanup.planning import make_plan
from transcribe_pipeline.operations.cleanup.plans import Site, Wishes
from transcribe_pipeline.operations.maintenance import databases, maintain
from transcribe_pipeline.operations.pruning import prune
from transcribe_pipeline.operations.retention import Policy
from transcribe_pipeline.partitions import partition_key
from transcribe_pipeline.resources.object_store import open_store
from transcribe_pipeline.settings import Settings

_STEPS = 20
_OBJECTS = 25
LATER = datetime.now(UTC) + timedelta(days=40)


@contextmanager
def measured(what: str) -> Iterator[None]:
    started = time.process_time()
    yield
    print(f"{what}: {time.process_time() - started:.2f} s of processor")


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def stage(number: int) -> dg.AssetsDefinition:
    @dg.asset(name=f"stage_{number}", deps=[f"stage_{number - 1}"] if number else [])
    def made(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        context.log.info("Some figures.")
        return dg.MaterializeResult(metadata={"seconds": 1.0, "words": 1})

    return made


def pruning(home: Path, runs: int) -> None:
    ledger = connect(f"sqlite:///{home}/ledger.db")
    migrate(ledger)
    files.register(ledger, [upload(0)], settle_seconds=0)
    job = dg.Definitions([stage(n) for n in range(_STEPS)], executor=dg.in_process_executor)
    history = home / "dagster"
    history.mkdir()
    with dg.DagsterInstance.local_temp(str(history)) as instance:
        empty = size(history)
        for _ in range(runs):
            job.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance)
        full = size(history)
        print(f"a run of {_STEPS} steps: {(full - empty) / runs / 1000:.0f} kB on disk")
        with measured(f"pruning {runs - 1} runs"):
            pruned = prune(instance, ledger, days=30, seconds=600, now=LATER)
        with measured("vacuuming"):
            for database in databases(Settings(home=home), ledger, instance):
                maintain(database, is_work_going_on=False)
        left = size(history)
        print(f"{pruned.runs} runs pruned: {(full - left) / pruned.runs / 1000:.0f} kB each given back")
        print(f"{left / 1000:.0f} kB are left, with the one run that is needed")


def upload(number: int) -> ListedUpload:
    key = f"uploads/ann/recording-{number}.wav"
    return ListedUpload(
        object_key=key,
        owner="ann",
        file_name=f"recording-{number}.wav",
        partition_key=partition_key(key),
        etag="e",
        size_bytes=1,
        modified_at=datetime.now(UTC),
    )


def planning(home: Path, count: int) -> None:
    ledger = connect(f"sqlite:///{home}/ledger.db")
    migrate(ledger)
    uploads = [upload(number) for number in range(count)]
    files.register(ledger, uploads, settle_seconds=0)
    for each in uploads:
        folder = home / "store/artifacts" / each.partition_key / ("ab" * 8) / "g0001"
        folder.mkdir(parents=True)
        for name in range(_OBJECTS):
            (folder / f"stage{name}.json.zst").touch()
    with ledger.begin() as connection:
        connection.exec_driver_sql(f"UPDATE media_file SET sha256 = '{'ab' * 32}', finished_at = registered_at")
        connection.exec_driver_sql("UPDATE media_file SET status = 'processing'")
        connection.exec_driver_sql("UPDATE media_file SET status = 'completed'")
    configured = Settings(home=home)
    site = Site(configured, ledger, open_store(configured.resolved_store_url))
    with measured(f"planning over {count:,} files with {count * _OBJECTS:,} objects"):
        plan = make_plan(site, Wishes(), Policy.load(configured), now=LATER)
    print(f"{len(plan.items):,} of {plan.objects:,} objects in the plan")


if __name__ == "__main__":
    asked = [int(text) for text in sys.argv[1:]]
    for measure, number in zip((pruning, planning), (asked + [20, 10_000][len(asked) :]), strict=True):
        with TemporaryDirectory() as folder:
            measure(Path(folder), number)
