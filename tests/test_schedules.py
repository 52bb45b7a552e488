"""When recovery launches a run: where something is stuck, and once an hour to be seen."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from sqlalchemy import text

from tests.world import World, embedded_world
from transcribe_pipeline.assets.operations.recovery import stuck_files
from transcribe_pipeline.ledger import backlog
from transcribe_pipeline.schedules import recover_stuck_files


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    (tmp_path / "dagster").mkdir()
    with (
        embedded_world(tmp_path, monkeypatch) as made,
        dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance,  # schedules open it by reference
    ):
        yield replace(made, instance=instance)


def tick(world: World) -> dg.RunRequest | dg.SkipReason:
    with dg.build_schedule_context(world.instance, datetime(2026, 3, 1, 12, 10, tzinfo=UTC)) as context:
        asked = recover_stuck_files(context, ledger=world.ledger)
    assert isinstance(asked, dg.RunRequest | dg.SkipReason)
    return asked


def recover(world: World, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    resources = {"store": world.store, "ledger": world.ledger}
    return dg.materialize(
        [stuck_files], instance=world.instance, resources=resources, run_config=request.run_config, tags=request.tags
    )


def test_a_pass_is_seen_once_an_hour_and_looks_into_the_store_then(world: World):
    world.add()
    request = tick(world)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == "2026-03-01T12:10:00+00:00"
    result = recover(world, request)
    (event,) = result.asset_materializations_for_node("stuck_files")
    figures = {name: value.value for name, value in event.metadata.items()}
    assert figures["files_helped"] == 0
    assert figures["waiting_in_backlog"] == 1
    assert figures["orphaned_folders_results"] == 0
    skipped = tick(world)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "1 in backlog; nothing is stuck."


def test_what_is_stuck_is_recovered_at_once(world: World):
    key = world.add()
    first = tick(world)
    assert isinstance(first, dg.RunRequest)
    recover(world, first)
    backlog.mark_queued(world.ledger, backlog.next_requests(world.ledger, 1))
    with world.ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET status_since = '2026-01-01 00:00:00.000000'"))
    request = tick(world)
    assert isinstance(request, dg.RunRequest)
    assert request.run_config["ops"]["stuck_files"]["config"]["scan_orphans"] is False
    result = recover(world, request)
    (event,) = result.asset_materializations_for_node("stuck_files")
    table = event.metadata["done"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [(row.data["cause"], row.data["done"], row.data["files"]) for row in table.records] == [
        ("never_began", "went_again", 1)
    ]
    assert world.file(key).generation == 2


def test_a_pass_that_waits_in_the_queue_is_not_asked_for_again(world: World):
    request = tick(world)
    assert isinstance(request, dg.RunRequest)
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("code"), "repository")
    world.instance.create_run_for_job(
        _job,
        tags=request.tags,
        status=dg.DagsterRunStatus.QUEUED,
        remote_job_origin=RemoteJobOrigin(origin, "_job"),
    )
    skipped = tick(world)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "The pass before is still under way."


@dg.op
def nothing() -> None: ...


@dg.job
def _job() -> None:
    nothing()
