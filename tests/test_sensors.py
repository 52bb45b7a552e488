"""The sensors, on a real folder, a real ledger and a real instance: what is requested, when, and how often."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import dagster as dg
import psutil
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.sensor_definition import SensorExecutionData
from sqlalchemy import text

from tests.world import World, embedded_world
from transcribe_pipeline import sensors
from transcribe_pipeline.definitions import defs
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import leases, requests
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.partitions import partition_key
from transcribe_pipeline.resources import object_store
from transcribe_pipeline.sensors import cancelled_runs, failed_runs, new_uploads
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import GENERATION_TAG, OWNER_TAG, TRIGGER_TAG


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
        assert run_keys(tick(world)) == [], "three of four places are as many as one owner gets"
        claim(world, str(first[0]).removesuffix(":1"), "run")
        assert len(run_keys(tick(world))) == 1


def test_a_request_lost_with_the_daemon_is_repeated_under_its_key(world: World, monkeypatch: pytest.MonkeyPatch):
    key = world.put("ann/a.wav")
    tick(world)
    monkeypatch.setattr(sensors, "UNANSWERED_SECONDS", -1.0)
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


# --- sidecars -------------------------------------------------------------------------------------------------------


def message(result: dg.SensorResult | dg.SkipReason) -> str:
    assert isinstance(result, dg.SkipReason)
    return str(result.skip_message)


def test_sidecars_are_no_recordings(world: World):
    for name in ("a.mp4.options.yaml", "a.srt", "a.mp4", "alone.srt", "b.mp4.options.yml"):
        world.put(f"ann/{name}")
    assert run_keys(tick(world)) == [f"{partition_key('uploads/ann/a.mp4')}:1"]
    assert message(tick(world)) == ("1 files listed, 0 new, 0 changed; 2 sidecars without a recording; 1 queued.")


def test_a_sidecar_that_comes_changes_or_goes_after_the_recording_was_done(world: World):
    key = world.put("ann/a.mp4")
    tick(world)
    for generation, change in enumerate(
        (
            lambda: world.put("ann/a.mp4.options.yaml", b"language: de"),
            lambda: world.put("ann/a.mp4.options.yaml", b"language: fr  "),
            lambda: (world.home / "store/uploads/ann/a.mp4.options.yaml").unlink(),
            lambda: world.put("ann/a.srt", b"1"),
        ),
        start=2,
    ):
        complete(world, key)
        change()
        assert run_keys(tick(world)) == [f"{key}:{generation}"]
        assert run_keys(tick(world)) == []


def test_a_sidecar_shortly_after_its_recording_needs_no_second_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with embedded_world(tmp_path, monkeypatch, settle_seconds="60") as world:
        key = world.put("ann/a.mp4")
        minute_ago = time.time() - 61
        os.utime(tmp_path / "store/uploads/ann/a.mp4", (minute_ago, minute_ago))
        world.put("ann/a.srt")
        assert run_keys(tick(world)) == [], "the sidecar may still be being written"
        os.utime(tmp_path / "store/uploads/ann/a.srt", (minute_ago, minute_ago))
        assert run_keys(tick(world)) == [f"{key}:1"]
        world.put("ann/a.mp4.options.yaml")
        assert run_keys(tick(world)) == [], "the run that was requested has not begun: it will find the sidecar"
        assert world.file(key).generation == 1


def test_sidecars_are_watched_where_a_listing_goes_on_between_them(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(object_store, "_ENTRIES_PER_PAGE", 2)
    monkeypatch.setattr(sensors, "_LISTING_SECONDS", 0.0)
    keys = []
    for number in range(4):
        world.put(f"ann/{number}.en.srt")
        keys.append(world.put(f"ann/{number}.mp4"))
        world.put(f"ann/{number}.mp4.options.yaml")

    def passes() -> list[str | None]:
        requested, cursor = [], None
        for _ in range(8):
            listing = sensors.register_uploads(world.store, world.ledger, settings(), cursor)
            cursor = listing.cursor
            requested += run_keys(tick(world, cursor or "uploads/"))
        return requested

    assert passes() == [f"{key}:1" for key in keys]
    for key in keys:
        complete(world, key)
    assert passes() == [], "no sidecar is lost or found again"
    world.put("ann/2.mp4.options.yaml", b"language: de")
    assert passes() == [f"{keys[2]}:2"]


def test_sidecars_on_an_s3_server(world: World, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch):
    variables = {"ENDPOINT_URL": s3_endpoint, "REGION": "us-east-1", "ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x"}
    for name, value in variables.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    bucket = boto3.client("s3", region_name="us-east-1", endpoint_url=s3_endpoint)
    bucket.create_bucket(Bucket="sidecars")
    store = object_store.open_store("s3://sidecars/base")
    for name in ("a.mp4", "a.mp4.options.yaml", "b.mp4", "b.srt", "alone.vtt"):
        store.put_bytes(f"uploads/ann/{name}", b"x")

    def listed() -> sensors.Listing:
        return sensors.register_uploads(store, world.ledger, settings(), None)

    assert (listed().new, listed().changed, listed().orphans) == (2, 0, 1)
    for name in ("a.mp4", "b.mp4"):
        complete(world, partition_key(f"uploads/ann/{name}"))
    store.put_bytes("uploads/ann/b.srt", b"another")
    assert (listed().changed, listed().changed) == (1, 0)
    assert world.file(partition_key("uploads/ann/b.mp4")).generation == 2
    assert world.file(partition_key("uploads/ann/a.mp4")).generation == 1


def test_processing_again_is_requested_as_such(world: World):
    key = world.put("ann/a.wav")
    tick(world)
    complete(world, key)
    requests.request_again(world.ledger, [key], {}, actor="test")
    result = tick(world)
    assert run_keys(result) == [f"{key}:2"]
    assert isinstance(result, dg.SensorResult)
    assert [request.tags[TRIGGER_TAG] for request in result.run_requests or ()] == ["reprocess"]


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
        connection.execute(text("UPDATE media_file SET status = 'processing'"))
        connection.execute(text("UPDATE media_file SET status = 'completed'"))


# --- intake ---------------------------------------------------------------------------------------------------------


def test_when_everything_fails_alike_no_more_is_begun_until_one_file_goes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with embedded_world(tmp_path, monkeypatch, breaker_failures="3", max_tries="1") as world:
        keys = [world.put(f"ann/{number}.wav") for number in range(3)]
        tick(world)
        for number, key in enumerate(keys):
            held = leases.claim(
                world.ledger, key, None, f"run-{number}", lease_seconds=90, holder_finished=lambda _: False, max_tries=1
            )
            leases.fail(world.ledger, held, PipelineError(ErrorCode.STORE_UNAVAILABLE), final=True, max_tries=1)
        later = world.put("ann/later.wav")
        said = message(tick(world))
        assert "Intake is paused since" in said
        assert "3 of the last 3 files failed with STORE_UNAVAILABLE. The object store does not answer." in said
        assert world.file(later).status is Status.PENDING
        with world.ledger.begin() as connection:
            connection.execute(text("UPDATE intake_pause SET paused_at = '2026-01-01'"))
        assert run_keys(tick(world)) == [f"{later}:1"], "one is let through"
        more = world.put("ann/more.wav")
        assert run_keys(tick(world)) == []
        complete(world, later)
        assert run_keys(tick(world)) == [f"{more}:1"]
        assert [world.scalar("SELECT sum(tries) FROM media_file")] == [0]


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
    assert (world.file(key).status, world.file(key).error_code) == (Status.CANCELLED, ErrorCode.CANCELLED)
