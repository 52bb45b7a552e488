"""The assets as Dagster runs them, on a real instance, and the command line beside them."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import typer

from tests.ledger.samples import take
from tests.world import World, embedded_world
from transcribe_pipeline.artifacts import Options
from transcribe_pipeline.assets.operations import cleanup, maintenance
from transcribe_pipeline.cli import cleanup as commands
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import leases
from transcribe_pipeline.resources.artifact_store import ArtifactStore
from transcribe_pipeline.resources.search_index import Search
from transcribe_pipeline.settings import settings

OLD = (datetime.now(UTC) - timedelta(days=40)).timestamp()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        yield instance


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path / "home", monkeypatch, database_url="") as world:
        yield world


@pytest.fixture
def lost(world: World) -> str:
    """Key of an object of no file; beside it lies a file that failed."""
    key = world.add("zoe/secret name.wav")
    claim = take(world.ledger, key=key)
    leases.record_sha256(world.ledger, claim, "ab" * 32)
    ArtifactStore(world.store, "artifacts").save_partial(key, "ab" * 8, "transcription", "0001", Options())
    leases.fail(world.ledger, claim, PipelineError(ErrorCode.NOT_MEDIA), final=True)
    object_key = "artifacts/secret-name-wav-0123456789ab/abababababababab/g0001/options.json.zst"
    world.store.put_bytes(object_key, b"x")
    for path in (world.home / "store").rglob("*"):
        os.utime(path, (OLD, OLD))
    return object_key


def materialise(
    world: World, instance: dg.DagsterInstance, asset: dg.AssetsDefinition, **config: Any
) -> dict[str, Any]:
    result = dg.materialize(
        [asset],
        instance=instance,
        resources={"store": world.store, "ledger": world.ledger, "search": Search(settings())},
        run_config={"ops": {asset.op.name: {"config": config}}} if config else None,
    )
    (event,) = result.asset_materializations_for_node(asset.op.name)
    return {name: value.value for name, value in event.metadata.items()}


def test_a_plan_is_made_shown_and_carried_out(world: World, instance: dg.DagsterInstance, lost: str):
    planned = materialise(world, instance, cleanup.deep_cleanup_plan)
    assert (planned["objects_to_go"], planned["objects"], planned["held_files"]) == (1, 2, 0)
    (row,) = planned["what_would_go"].records
    assert row.data["kind"] == "unknown file"
    assert row.data["examples"] == "artifacts/…-0123456789ab/abababababababab/g0001/options.json.zst"
    told = materialise(world, instance, cleanup.deep_cleanup, plan_id=planned["plan"], approved_by="ann")
    assert told["applied"] is False
    assert world.store.exists(lost)
    done = materialise(world, instance, cleanup.deep_cleanup, plan_id=planned["plan"], apply=True)
    assert (done["applied"], done["moved"], done["moved_unknown_file"]) == (True, 1, 1)
    assert not world.store.exists(lost)
    with pytest.raises(dg.Failure, match="applied already") as caught:
        materialise(world, instance, cleanup.deep_cleanup, plan_id=planned["plan"], apply=True)
    assert caught.value.metadata["error_code"].value == "PLAN_REFUSED"


def test_retention_and_leftovers_run_as_assets(world: World, instance: dg.DagsterInstance, lost: str):
    with world.ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE media_file SET finished_at = '2026-01-01 00:00:00'")
    cleared = materialise(world, instance, cleanup.failed_files)
    assert (cleared["files"], cleared["partials"], cleared["complete"]) == (1, 1, True)
    told = materialise(world, instance, cleanup.retention)
    assert (told["applied"], told["due"], told["forgotten"]) == (False, 1, 0)
    assert [row.data for row in told["why"].records] == [{"reason": "error, 30 days", "files": 1}]
    done = materialise(world, instance, cleanup.retention, apply=True)
    assert (done["due"], done["forgotten"], done["unproven"], done["complete"]) == (1, 1, 0, True)
    assert world.scalar("SELECT count(*) FROM media_file") == 0


def test_history_and_databases_are_cared_for(world: World, instance: dg.DagsterInstance, lost: str):
    pruned = materialise(world, instance, maintenance.dagster_history)
    assert (pruned["applied"], pruned["runs"], pruned["complete"]) == (True, 0, True)
    done = materialise(world, instance, maintenance.database_maintenance)
    names = [row.data["database"] for row in done["databases"].records]
    assert names == ["ledger", "Dagster: runs", "Dagster: events", "Dagster: ticks"]
    assert done["bytes_after"] > 0


def test_the_commands_go_the_same_way(world: World, lost: str, capsys: pytest.CaptureFixture[str]):
    def printed(line: int = 0) -> Any:
        return json.loads(capsys.readouterr().out.splitlines()[line])

    commands.plan(audio_days=None, as_json=True)
    plan = printed()
    assert [item["key"] for item in plan["items"]] == [lost]
    commands.show(plan["id"], as_json=False)
    assert lost in capsys.readouterr().out
    commands.approve(plan["id"])
    commands.plans(as_json=False)
    assert plan["id"] in capsys.readouterr().out
    commands.apply(plan["id"], originals=[], even_if_large=False, yes=True, as_json=True)
    assert printed()["moved"] == {"unknown file": 1}
    assert not world.store.exists(lost)
    commands.plans(as_json=True)
    assert printed()[0]["receipt"]["applied_by"].startswith("cli:")
    commands.restore(plan["id"])
    assert world.store.get_bytes(lost) == b"x"


def test_another_name_stops_the_command(world: World, lost: str, monkeypatch: pytest.MonkeyPatch):
    commands.plan(audio_days=None, as_json=True)
    (plan_id,) = {key.split("/")[3] for key in world.store.list_keys("artifacts/operations")}
    commands.approve(plan_id)
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: "yes")
    with pytest.raises(typer.Exit):
        commands.apply(plan_id, originals=[], even_if_large=False, yes=False, as_json=False)
    assert world.store.exists(lost)
