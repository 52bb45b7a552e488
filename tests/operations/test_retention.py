"""What is due by policy, and how it goes; what failed files leave behind."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text

from tests.ledger.samples import take, transcript
from tests.world import World, embedded_world
from transcribe_pipeline.artifacts import Options
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import cleanup, forgetting, leases, operations, transcripts
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.operations.cleanup import leftovers
from transcribe_pipeline.operations.cleanup.plans import Site
from transcribe_pipeline.operations.retention import Forgotten, Overview, Policy, forget_due, look
from transcribe_pipeline.resources.artifact_store import ArtifactStore
from transcribe_pipeline.resources.forgetting import Places
from transcribe_pipeline.resources.run_history import RunHistory
from transcribe_pipeline.search.embedded import EmbeddedIndex
from transcribe_pipeline.settings import Settings, settings

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        yield instance


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path / "home", monkeypatch) as world:
        yield world


@pytest.fixture
def places(world: World, instance: dg.DagsterInstance) -> Places:
    index = EmbeddedIndex(world.home / "search.db")
    return Places(settings(), world.ledger, world.store, RunHistory(instance), index)


def ended(world: World, name: str, code: ErrorCode | None = None, *, days_ago: float = 0, spoken: bool = False) -> str:
    """A file whose work has ended so long ago, with this error, or completed."""
    key = world.add(name, name.encode())
    claim = take(world.ledger, f"run of {name}", key=key)
    leases.record_sha256(world.ledger, claim, "ab" * 32)
    if spoken:
        transcripts.save(world.ledger, claim, transcript(), artifact_key="x", provenance={})
    if code is None:
        leases.complete(world.ledger, claim)
    else:
        leases.fail(world.ledger, claim, PipelineError(code), final=True)
    change(world, key, finished_at=(NOW - timedelta(days=days_ago)).replace(tzinfo=None).isoformat(" "))
    return key


def change(world: World, key: str, **values: object) -> None:
    with world.ledger.begin() as connection:
        for column, value in values.items():
            connection.execute(
                text(f"UPDATE media_file SET {column} = :value WHERE partition_key = :key"),
                {"value": value, "key": key},
            )


def policy(tmp_path: Path, yaml: str) -> Policy:
    file = tmp_path / "retention.yaml"
    file.write_text(yaml)
    return Policy.load(Settings(retention_file=file))


def due(places: Places, chosen: Policy, limit: int = 100) -> list[str]:
    return [each.file.partition_key for each in look(places, chosen, limit=limit).due]


def left(world: World) -> list[str]:
    return cleanup.partition_keys(world.ledger)


# --- the policy -------------------------------------------------------------------------------------------------------


def test_a_policy_is_by_owner_with_a_default(tmp_path: Path):
    chosen = policy(
        tmp_path,
        "version: 1\ndefault: {completed_days: 365}\nowners: {ann: {failed_days: 7}, bob: {completed_days: null}}",
    )
    assert [chosen.days("failed_days", owner) for owner in ("ann", "bob", "eve")] == [7, 30, 30]
    assert [chosen.days("completed_days", owner) for owner in ("ann", "bob")] == [365, None]
    assert list(chosen.groups("completed_days")) == [(None, ("bob",), 365)]
    assert list(chosen.groups("failed_days")) == [("ann", (), 7), (None, ("ann",), 30)]
    assert list(chosen.groups("originals_days")) == []


def test_without_a_file_the_settings_say_it():
    assert list(Policy.load(Settings()).groups("failed_days")) == [(None, (), 30)]
    assert not list(Policy.load(Settings(retention_failed_days=0)).groups("failed_days"))


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path):
    with pytest.raises(PipelineError) as caught:
        policy(tmp_path, "version: 2\ndefault: {failed_days: -1}\nowners: {ann: {completed: 3, failed_days: soon}}")
    assert caught.value.code is ErrorCode.CONFIGURATION
    for part in ("version", "default.failed_days", "owners.ann.completed", "owners.ann.failed_days"):
        assert part in caught.value.detail
    for yaml in ("{", "version: 1\nversion: 1", "- 1", ""):
        with pytest.raises(PipelineError, match="RETENTION_FILE"):
            policy(tmp_path, yaml)
    with pytest.raises(PipelineError, match="cannot be read"):
        Policy.load(Settings(retention_file=tmp_path / "none.yaml"))


# --- what is due ------------------------------------------------------------------------------------------------------


def test_what_failed_goes_after_its_days_and_what_has_a_transcript_stays(world: World, places: Places, tmp_path: Path):
    old = ended(world, "ann/a.wav", ErrorCode.NOT_MEDIA, days_ago=31)
    older = ended(world, "bob/b.wav", ErrorCode.TRIES_EXHAUSTED, days_ago=40)
    ended(world, "ann/young.wav", ErrorCode.NOT_MEDIA, days_ago=29)
    spoken = ended(world, "ann/spoken.wav", ErrorCode.NOT_MEDIA, days_ago=90, spoken=True)
    done = ended(world, "ann/done.wav", days_ago=80, spoken=True)
    world.add("ann/new.wav")
    assert due(places, Policy.load(settings())) == [older, old]
    assert due(places, Policy.load(settings()), limit=1) == [older]
    assert due(places, policy(tmp_path, "version: 1\nowners: {bob: {failed_days: null}}")) == [old]
    assert due(places, policy(tmp_path, "version: 1\ndefault: {completed_days: 60}")) == [spoken, done, older, old]


def test_a_legal_hold_and_work_are_respected(world: World, places: Places):
    held = ended(world, "ann/a.wav", ErrorCode.NOT_MEDIA, days_ago=31)
    working = ended(world, "ann/b.wav", ErrorCode.NOT_MEDIA, days_ago=31)
    change(world, held, legal_hold="case 7")
    take(world.ledger, "run-2", key=working)
    overview = look(places, Policy.load(settings()), limit=10)
    assert (overview.due, overview.held) == ([], 1)


# --- what goes --------------------------------------------------------------------------------------------------------


def test_what_is_due_is_forgotten_everywhere_and_told(world: World, places: Places):
    gone = ended(world, "ann/a.wav", ErrorCode.NOT_MEDIA, days_ago=31)
    stays = ended(world, "ann/b.wav", ErrorCode.NOT_MEDIA, days_ago=3)
    done = forget(places, look(places, Policy.load(settings()), limit=10))
    assert (done.files, done.left_alone, done.unproven, done.is_complete) == (1, 0, 0, True)
    assert left(world) == [stays]
    assert [entry.key for entry in world.store.entries("uploads")] == ["uploads/ann/b.wav"]
    (entry,) = operations.recent(world.ledger, operation=operations.Operation.RETENTION)
    assert (entry.cause, entry.action) == ("1 x error, 30 days", "forgot 1 files")
    assert world.store.exists(entry.detail["receipt"])
    assert gone not in str(entry)


def forget(places: Places, overview: Overview, seconds: float = 60) -> Forgotten:
    return forget_due(places, overview, "test", seconds=seconds)


def test_whoever_changes_a_file_in_time_keeps_it(world: World, places: Places):
    for name in ("held", "again", "claimed"):
        ended(world, f"ann/{name}.wav", ErrorCode.NOT_MEDIA, days_ago=31)
    overview = look(places, Policy.load(settings()), limit=10)
    held, again, claimed = (each.file.partition_key for each in overview.due)
    change(world, held, legal_hold="case 7")
    with world.ledger.begin() as connection:
        connection.execute(
            text("UPDATE media_file SET generation = 2, status = 'pending' WHERE partition_key = :key"), {"key": again}
        )
    take(world.ledger, "run-2", key=claimed)
    done = forget(places, overview)
    assert (done.files, done.left_alone) == (0, 3)
    assert len(left(world)) == 3
    assert world.file(again).status is Status.PENDING


def test_a_forgetting_that_was_interrupted_comes_to_its_end(world: World, places: Places):
    key = ended(world, "ann/a.wav", ErrorCode.NOT_MEDIA, days_ago=31)
    forgetting.seal(world.ledger, key, holder_finished=lambda _: True)
    assert not look(places, Policy.load(settings()), limit=10).interrupted, "it may be going on"
    change(world, key, finished_at=(NOW - timedelta(hours=2)).replace(tzinfo=None).isoformat(" "))
    overview = look(places, Policy.load(settings()), limit=10)
    assert [file.partition_key for file in overview.interrupted] == [key]
    assert forget(places, overview).files == 1
    assert left(world) == []


def test_a_pass_is_bounded(world: World, places: Places):
    ended(world, "ann/a.wav", ErrorCode.NOT_MEDIA, days_ago=31)
    done = forget(places, look(places, Policy.load(settings()), limit=10), seconds=-1)
    assert (done.files, done.is_complete) == (0, False)
    assert len(left(world)) == 1


# --- leftovers --------------------------------------------------------------------------------------------------------


def test_leftovers_of_failed_files_go_and_what_a_redrive_needs_stays(world: World):
    site = Site(settings(), world.ledger, world.store)
    artifacts = ArtifactStore(world.store, "artifacts")
    keys = {
        code: ended(world, f"ann/{code}.wav", code, days_ago=2)
        for code in (ErrorCode.NOT_MEDIA, ErrorCode.STORE_UNAVAILABLE, ErrorCode.TRIES_EXHAUSTED)
    }
    young = ended(world, "ann/young.wav", ErrorCode.NOT_MEDIA)
    for key in (*keys.values(), young):
        artifacts.save_partial(key, "ab" * 8, "transcription", "0001", Options())
        world.store.put_bytes(f"artifacts/{key}/{'ab' * 8}/g0001/upload.json.zst", b"x")
        world.store.put_bytes(f"results/ann/{key}/x.srt", b"x")
    world.store.put_bytes("artifacts/x", b"x")
    (world.home / "store/artifacts/y#1").write_bytes(b"begun")
    dead = world.home / "scratch/dead"
    dead.mkdir(parents=True)
    for path in (world.home / "store").rglob("*"):
        os.utime(path, ((NOW - timedelta(days=2)).timestamp(),) * 2)
    before = {entry.key for entry in world.store.entries("artifacts")} | {
        entry.key for entry in world.store.entries("results")
    }

    cleared = leftovers.clear(site, limit=100, seconds=60)

    after = {entry.key for entry in world.store.entries("artifacts")} | {
        entry.key for entry in world.store.entries("results")
    }
    permanent = keys[ErrorCode.NOT_MEDIA]
    assert before - after == {
        f"artifacts/{permanent}/{'ab' * 8}/partial/transcription/0001.json.zst",
        *(f"results/ann/{key}/x.srt" for key in keys.values()),
        "artifacts/y#1",
    }
    assert (cleared.files, cleared.partials, cleared.results, cleared.unfinished_writes) == (3, 1, 3, 1)
    assert not dead.exists()
    assert len(list(world.store.entries("uploads"))) == 4
    assert leftovers.clear(site, limit=100, seconds=60).bytes == 0
