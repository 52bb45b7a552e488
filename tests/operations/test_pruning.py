"""Pruning a real instance with real runs, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus
from sqlalchemy import text

from tests.ledger.conftest import create_database
from tests.world import World, embedded_world
from transcribe_pipeline.backfills import launch
from transcribe_pipeline.operations.pruning import Pruned, prune
from transcribe_pipeline.partitions import media_files

LATER = datetime.now(UTC) + timedelta(days=31)
NEXT_WEEK = datetime.now(UTC) + timedelta(days=8)
_files = dg.DynamicPartitionsDefinition(name=str(media_files.name))


@dg.asset(partitions_def=_files)
def transcript(context: dg.AssetExecutionContext) -> None:
    print("on stdout")


@dg.asset(partitions_def=_files)
def summary() -> None:
    raise dg.Failure("It cannot be summarised.")


@dg.asset
def golden_evaluation() -> None: ...


@dg.asset
def health_report() -> None: ...


@dg.asset
def retention() -> None: ...


@dg.asset_check(asset=transcript)
def a_check() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[dict[str, dg.DagsterInstance]]:
    """Made once: their tables take seconds."""
    sqlite = dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("sqlite")))
    url = create_database(postgres_url, "dagster_pruning")
    storage = {"postgres": {"postgres_url": url}}
    postgresql = dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("postgresql")), {"storage": storage})
    yield {"sqlite": sqlite, "postgresql": postgresql}
    for instance in (sqlite, postgresql):
        instance.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def instance(request: pytest.FixtureRequest, homes: dict[str, dg.DagsterInstance]) -> dg.DagsterInstance:
    homes[request.param].wipe()
    return homes[request.param]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path / "home", monkeypatch) as world:
        yield world


def run(instance: dg.DagsterInstance, *assets: dg.AssetsDefinition, partition_key: str | None = None) -> str:
    if partition_key:
        instance.add_dynamic_partitions(str(media_files.name), [partition_key])
    chosen = [*assets, a_check] if transcript in assets else assets
    result = dg.materialize(chosen, instance=instance, partition_key=partition_key, raise_on_error=False)
    return result.run_id


def test_what_the_pages_need_stays(instance: dg.DagsterInstance, world: World):
    key = world.add()
    older, latest = (run(instance, transcript, partition_key=key) for _ in range(2))
    failed = run(instance, summary, partition_key=key)
    golden = [run(instance, golden_evaluation) for _ in range(2)]
    reports = [run(instance, health_report) for _ in range(2)]
    retentions = [run(instance, retention) for _ in range(2)]
    runs = [older, latest, failed, *golden, *reports, *retentions]

    def pruned(now: datetime | None = None, **choices: Any) -> Pruned:
        return prune(instance, world.ledger, **{"days": 30, "seconds": 60, "now": now} | choices)

    assert pruned().runs == 0, "too young"
    assert pruned(NEXT_WEEK).runs == 1
    assert [run_id for run_id in runs if not instance.has_run(run_id)] == reports[:1], "what is made often goes early"
    times = iter([0.0, 100.0])
    out_of_time = pruned(LATER, clock=lambda: next(times))
    assert (out_of_time.runs, out_of_time.is_complete) == (0, False)

    counted, done = pruned(LATER, apply=False), pruned(LATER)

    assert (counted.runs, counted.kept_runs) == (done.runs, done.kept_runs) == (2, 6)
    assert [run_id for run_id in runs if not instance.has_run(run_id)] == [older, reports[0], retentions[0]]
    status = instance.get_status_by_partition(dg.AssetKey("transcript"), [key], _files)
    assert str((status or {})[key]) == "AssetPartitionStatus.MATERIALIZED"
    materialisation = instance.get_latest_materialization_event(dg.AssetKey("transcript"))
    assert materialisation is not None
    assert materialisation.run_id == latest
    assert rows(instance, older) == {"runs": 0, "run_tags": 0, "event_logs": 0, "asset_check_executions": 0}
    assert 0 not in rows(instance, latest).values()
    assert pruned(LATER).runs == 0


def rows(instance: dg.DagsterInstance, run_id: str) -> dict[str, int]:
    databases = {
        instance.run_storage.connect: ("runs", "run_tags"),  # type: ignore[attr-defined]
        instance.event_log_storage.index_connection: ("event_logs", "asset_check_executions"),  # type: ignore[attr-defined]
    }
    counts = {}
    for connect, tables in databases.items():
        with connect() as connection:
            for table in tables:
                counted = text(f"SELECT count(*) FROM {table} WHERE run_id = :run_id")
                counts[table] = connection.execute(counted, {"run_id": run_id}).scalar_one()
    return counts


def test_what_has_not_ended_stays(instance: dg.DagsterInstance, world: World):
    key = world.add()
    job = dg.define_asset_job("a_job", [transcript], partitions_def=_files)
    defined = dg.Definitions([transcript], jobs=[job]).get_job_def("a_job")
    created = instance.create_run_for_job(defined, status=dg.DagsterRunStatus.STARTED)
    backfill = launch(instance, ["transcript"], [key], title="all", tags={})
    of_backfill = instance.create_run_for_job(
        defined, status=dg.DagsterRunStatus.SUCCESS, tags={"dagster/backfill": backfill}
    )
    assert prune(instance, world.ledger, days=30, seconds=60, now=LATER).runs == 0
    stored = instance.get_backfill(backfill)
    assert stored
    instance.update_backfill(stored.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    assert prune(instance, world.ledger, days=30, seconds=60, now=LATER).runs == 1
    assert instance.has_run(created.run_id)
    assert not instance.has_run(of_backfill.run_id)


def test_runs_of_a_file_under_legal_hold_stay(instance: dg.DagsterInstance, world: World):
    key = world.add()
    job = dg.define_asset_job("a_job", [transcript], partitions_def=_files)
    defined = dg.Definitions([transcript], jobs=[job]).get_job_def("a_job")
    older, _latest = (
        instance.create_run_for_job(defined, status=dg.DagsterRunStatus.SUCCESS, tags={"dagster/partition": key})
        for _ in range(2)
    )
    with world.ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET legal_hold = 'case 7'"))
    assert prune(instance, world.ledger, days=30, seconds=60, now=LATER).runs == 0
    with world.ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET legal_hold = NULL"))
    assert prune(instance, world.ledger, days=30, seconds=60, now=LATER).runs == 1
    assert not instance.has_run(older.run_id)


def test_partition_keys_of_files_that_are_no_more_go(instance: dg.DagsterInstance, world: World):
    instance.add_dynamic_partitions(str(media_files.name), ["forgotten-0123456789ab"])
    assert prune(instance, world.ledger, days=30, seconds=60).partition_keys == 0, "this may be the wrong ledger"
    key = world.add()
    instance.add_dynamic_partitions(str(media_files.name), [key])
    assert prune(instance, world.ledger, days=30, seconds=60).partition_keys == 1
    assert instance.get_dynamic_partitions(str(media_files.name)) == [key]


def test_files_of_runs_that_are_no_more_go(homes: dict[str, dg.DagsterInstance], world: World):
    instance = homes["sqlite"]
    instance.wipe()
    world.add()
    run_id = run(instance, retention)
    instance.run_storage.delete_run(run_id)
    before = prune(instance, world.ledger, days=30, seconds=60)
    assert (before.stray_files, before.bytes) == (0, 0), "too young"
    pruned = prune(instance, world.ledger, days=30, seconds=60, now=LATER)
    assert pruned.stray_files == 2, "events and logs"
    assert pruned.bytes > 0
    assert not list(Path(instance.root_directory).rglob(f"{run_id}*"))
