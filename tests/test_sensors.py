"""The sensors, on a real folder, a real ledger and a real instance: what is requested, when, and how often."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.sensor_definition import SensorExecutionData
from sqlalchemy import text

from tests.world import World, embedded_world
from transcribe_pipeline import sensors
from transcribe_pipeline.definitions import defs
from transcribe_pipeline.errors import ErrorCode
from transcribe_pipeline.ledger import leases
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.sensors import cancelled_runs, failed_runs, new_uploads
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import GENERATION_TAG, OWNER_TAG


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path, monkeypatch) as made:
        yield made


def tick(world: World, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    with dg.build_sensor_context(instance=world.instance, cursor=cursor) as context:
        result = new_uploads(context, store=world.store, ledger=world.ledger)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def evaluate(world: World, cursor: str | None) -> SensorExecutionData:
    """A tick as the daemon sees it, requests resolved against the job."""
    resources = {"store": world.store, "ledger": world.ledger}
    with (
        dg.build_sensor_context(world.instance, cursor, resources=resources, definitions=defs) as context,
        partition_loading_context(dynamic_partitions_store=world.instance),
    ):
        return new_uploads.evaluate_tick(context)


def run_keys(result: dg.SensorResult | dg.SkipReason) -> list[str | None]:
    return [run.run_key for run in result.run_requests or ()] if isinstance(result, dg.SensorResult) else []


def complete(world: World, key: str) -> None:
    leases.complete(world.ledger, claim(world, key, "run"))


def claim(world: World, key: str, run_id: str) -> leases.Claim:
    return leases.claim(world.ledger, key, None, run_id, lease_seconds=90, holder_finished=lambda _: False)


# --- new uploads ----------------------------------------------------------------------------------------------------


def test_a_new_file_is_registered_and_requested_once(world: World):
    key = world.put("ann/Board Meeting.mp3")
    result = tick(world)
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or ()
    assert request.run_key == f"{key}:1"
    assert request.partition_key == key
    assert request.tags[GENERATION_TAG] == "1"
    assert request.tags[OWNER_TAG] == "ann"
    assert request.tags["transcribe/file"] == "Board Meeting.mp3"
    assert world.instance.get_dynamic_partitions("media_files") == [key]
    assert world.file(key).status is Status.QUEUED
    assert run_keys(tick(world)) == []


def test_the_tick_is_one_that_dagster_accepts(world: World):
    key = world.put("ann/a.wav")
    assert [request.run_key for request in evaluate(world, None).run_requests or ()] == [f"{key}:1"]


def test_a_file_still_being_written_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with embedded_world(tmp_path, monkeypatch, settle_seconds="60") as world:
        key = world.put("ann/a.wav", b"RI")
        assert run_keys(tick(world)) == []
        world.put("ann/a.wav", b"RIFF")
        assert run_keys(tick(world)) == []
        assert world.file(key).generation == 1
        minute_ago = time.time() - 61
        os.utime(tmp_path / "store/uploads/ann/a.wav", (minute_ago, minute_ago))
        assert run_keys(tick(world)) == [f"{key}:1"]


def test_new_content_is_a_new_generation(world: World):
    key = world.put("ann/a.wav", b"first")
    assert run_keys(tick(world)) == [f"{key}:1"]
    complete(world, key)
    world.put("ann/a.wav", b"the second take")
    assert run_keys(tick(world)) == [f"{key}:2"]


def test_new_content_takes_the_file_from_a_run_at_work(world: World):
    key = world.put("ann/a.wav", b"first")
    tick(world)
    held = claim(world, key, "at-work")
    world.put("ann/a.wav", b"the second take")
    assert run_keys(tick(world)) == [f"{key}:2"]
    with pytest.raises(Exception, match="LEASE_LOST"):
        leases.heartbeat(world.ledger, held)


def test_what_has_not_changed_is_left_alone(world: World):
    key = world.put("ann/a.wav")
    tick(world)
    complete(world, key)
    path = world.home / "store/uploads/ann/a.wav"
    os.utime(path, ns=(0, path.stat().st_mtime_ns))  # read by somebody
    assert run_keys(tick(world)) == []
    assert world.file(key).generation == 1


def test_what_cannot_be_taken_is_said(world: World):
    world.put("lost.wav")
    world.put("ann/Icon\r")
    reason = tick(world)
    assert isinstance(reason, dg.SkipReason)
    assert "1 without an owner's folder" in str(reason.skip_message)
    assert "1 with unusable names" in str(reason.skip_message)


def test_hidden_files_are_nobody_s_business(world: World):
    world.put("ann/.DS_Store")
    reason = tick(world)
    assert isinstance(reason, dg.SkipReason)
    assert str(reason.skip_message).startswith("0 files listed")


def test_names_that_tags_cannot_show(world: World):
    world.put("ann\u202e/" + "ü" * 100 + "\u200b.wav")
    result = tick(world)
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or ()
    assert request.tags[OWNER_TAG] == "ann?"
    assert request.tags["transcribe/file"].endswith("ü?.wav")


def test_owners_take_turns_and_the_queue_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with embedded_world(tmp_path, monkeypatch, max_runs_queued="4") as world:
        for number in range(20):
            world.put(f"flood/{number:02d}.wav")
        single = world.put("zoe/only.wav")
        first = run_keys(tick(world))
        assert len(first) == 4
        assert f"{single}:1" in first
        assert run_keys(tick(world)) == []  # the queue is full
        complete(world, single)
        assert len(run_keys(tick(world))) == 1


def test_a_request_lost_with_the_daemon_is_repeated_under_its_key(world: World, monkeypatch: pytest.MonkeyPatch):
    key = world.put("ann/a.wav")
    tick(world)
    monkeypatch.setattr(sensors, "_UNANSWERED_SECONDS", -1.0)
    assert run_keys(tick(world)) == [f"{key}:1"]


def test_a_listing_out_of_time_goes_on_where_it_stopped(world: World, monkeypatch: pytest.MonkeyPatch):
    (world.home / "store/uploads/ann").mkdir(parents=True)
    for number in range(1_500):
        (world.home / f"store/uploads/ann/{number:04d}.wav").touch()
    monkeypatch.setattr(sensors, "_LISTING_SECONDS", 0.0)
    first = sensors.register_uploads(world.store, world.ledger, settings(), None)
    assert (first.seen, first.cursor) == (1_000, "uploads/ann/0999.wav")
    assert "to be continued" in str(first)
    second = sensors.register_uploads(world.store, world.ledger, settings(), first.cursor)
    assert (second.seen, second.new) == (500, 500)
    # Out of time just as the last page came: the next tick finds nothing beyond it, and the one after begins anew.
    assert second.cursor == "uploads/ann/1499.wav"
    assert sensors.register_uploads(world.store, world.ledger, settings(), second.cursor) == sensors.Listing()


def test_after_the_last_page_listing_begins_anew(world: World, monkeypatch: pytest.MonkeyPatch):
    """Dagster's daemon ignores an empty cursor and keeps the one before, so ours is never empty."""
    world.put("ann/m.wav")
    monkeypatch.setattr(sensors, "_LISTING_SECONDS", 0.0)
    assert evaluate(world, None).cursor == "uploads/ann/m.wav"
    cursor = evaluate(world, "uploads/ann/m.wav").cursor
    assert cursor
    earlier = world.put("ann/a.wav")
    assert run_keys(tick(world, cursor)) == [f"{earlier}:1"]


def test_ten_new_among_ten_thousand(world: World):
    """Soft figures, printed: the target is 3 s and flat memory."""
    (world.home / "store/uploads/ann").mkdir(parents=True)
    for number in range(9_990):
        (world.home / f"store/uploads/ann/{number}.wav").touch()
    tick(world)
    _complete_all(world)
    for number in range(10):
        world.put(f"bob/{number}.wav")
    before, started = psutil.Process().memory_info().rss, time.perf_counter()
    result = tick(world)
    seconds, grown = time.perf_counter() - started, psutil.Process().memory_info().rss - before
    print(f"tick over 10,000 objects, 10 of them new: {seconds:.2f} s, {grown / 1e6:.1f} MB more memory")
    assert len(run_keys(result)) == 10


def _complete_all(world: World) -> None:
    with world.ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET status = 'completed'"))


# --- runs that end --------------------------------------------------------------------------------------------------


@dg.op
def nothing() -> None: ...


@dg.op
def broken() -> None:
    raise dg.Failure("too long", metadata={"error_code": "TOO_LONG"})


@dg.op
def crash() -> None:
    raise RuntimeError("unforeseen")


@dg.job
def failing() -> None:
    broken()


@dg.job
def crashing() -> None:
    crash()


@dg.job
def idle() -> None:
    nothing()


def note_failure(world: World, job: dg.JobDefinition, tags: dict[str, str]) -> object:
    result = job.execute_in_process(instance=world.instance, tags=tags, raise_on_error=False)
    context = dg.build_run_status_sensor_context(
        "failed_runs", result.get_run_failure_event(), world.instance, result.dagster_run
    ).for_run_failure()
    return failed_runs(context, ledger=world.ledger)


def requested(world: World) -> str:
    """A file whose run has been requested and has claimed nothing yet."""
    key = world.put("ann/a.wav")
    tick(world)
    return key


def tags_of(key: str, generation: int = 1) -> dict[str, str]:
    return {"dagster/partition": key, GENERATION_TAG: str(generation)}


@pytest.mark.parametrize(("job", "code"), [(failing, ErrorCode.TOO_LONG), (crashing, ErrorCode.INTERNAL)])
def test_a_failed_run_is_noted_with_the_error_of_its_step(world: World, job: dg.JobDefinition, code: ErrorCode):
    key = requested(world)
    assert note_failure(world, job, tags_of(key)) is None
    assert (world.file(key).status, world.file(key).error_code) == (Status.ERROR, code)
    skipped = note_failure(world, job, tags_of(key))
    assert isinstance(skipped, dg.SkipReason)


def test_a_failure_that_will_be_retried_is_left_to_the_retry(world: World):
    key = requested(world)
    assert isinstance(note_failure(world, failing, tags_of(key) | {"dagster/will_retry": "true"}), dg.SkipReason)
    assert world.file(key).error_code is None


def test_a_failed_run_of_an_older_generation_does_not_touch_the_newer(world: World):
    key = requested(world)
    assert isinstance(note_failure(world, failing, tags_of(key, 7)), dg.SkipReason)
    assert world.file(key).error_code is None


def test_other_runs_are_nobody_s_business(world: World):
    assert isinstance(note_failure(world, failing, {}), dg.SkipReason)


def ended(world: World, tags: dict[str, str], event: dg.DagsterEventType, run_id: str) -> dg.RunStatusSensorContext:
    """A run that was ended from outside, as run monitoring or a cancel does: no step of it left an event."""
    run = world.instance.create_run_for_job(idle, run_id=run_id, tags=tags)
    if event is dg.DagsterEventType.RUN_FAILURE:
        reported = world.instance.report_run_failed(run)
    else:
        reported = world.instance.report_run_canceled(run)
    return dg.build_run_status_sensor_context("sensor", reported, world.instance, run)


def test_a_run_that_died_without_a_word_is_noted(world: World):
    key = requested(world)
    run_id = "3c1f6c3e-0000-4000-8000-000000000001"
    claim(world, key, run_id)
    context = ended(world, tags_of(key), dg.DagsterEventType.RUN_FAILURE, run_id).for_run_failure()
    assert failed_runs(context, ledger=world.ledger) is None
    assert (world.file(key).status, world.file(key).error_code) == (Status.ERROR, ErrorCode.WORKER_LOST)


def test_a_cancelled_run_is_noted(world: World):
    key = requested(world)
    run_id = "3c1f6c3e-0000-4000-8000-000000000002"
    context = ended(world, tags_of(key), dg.DagsterEventType.RUN_CANCELED, run_id)
    assert cancelled_runs(context, ledger=world.ledger) is None
    assert (world.file(key).status, world.file(key).error_code) == (Status.ERROR, ErrorCode.CANCELLED)
