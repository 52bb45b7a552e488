"""What a stage promises, tried with assets of the real stages' names on a real ledger, store and instance."""

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
import soundfile
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from tests.world import World, embedded_world
from transcribe_pipeline import stage as stage_module
from transcribe_pipeline.artifacts import Subtitles
from transcribe_pipeline.assets.common import media_asset
from transcribe_pipeline.definitions import build_defs
from transcribe_pipeline.errors import CATALOGUE, ErrorCode, PipelineError
from transcribe_pipeline.ledger import leases, requests, timings, transcripts
from transcribe_pipeline.ledger.models import Outcome, Status
from transcribe_pipeline.stage import (
    GENERATION_TAG,
    NO_RETRY_TAG,
    STAGES,
    TRIGGER_TAG,
    Stage,
    artifact_io_manager,
    stages_of,
    translate,
)

Work = Callable[[Stage], None]

VALUE = Subtitles(transcript_id="t", files=())
SHA256 = "ab" * 32
LAST = list(STAGES)[-1]
OTHER_RUN = "3c1f6c3e-0000-4000-8000-000000000001"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path, monkeypatch, lease_seconds="2", diarizer="none") as made:
        yield made


def materialise(
    world: World, key: str, work: Work, *, name: str = "upload", alone: bool = False
) -> dg.ExecuteInProcessResult:
    """Run one stage that does `work`. `alone`: as when a person materialises just this asset."""

    @dg.asset(**media_asset(name, "ingest"))
    def made(context: dg.AssetExecutionContext, ledger: dg.ResourceParam[Engine]) -> Subtitles:
        with Stage(context, ledger) as stage:
            leases.record_sha256(ledger, stage.claim, SHA256)
            work(stage)
            return VALUE

    resources = {"store": world.store, "ledger": world.ledger, "artifacts": artifact_io_manager}
    job = dg.Definitions(assets=[made], resources=resources, executor=dg.in_process_executor)
    return job.resolve_implicit_global_asset_job_def().execute_in_process(
        asset_selection=[dg.AssetKey(name)] if alone else None,
        partition_key=key,
        instance=world.instance,
        tags={GENERATION_TAG: "1"},
        raise_on_error=False,
    )


def raising(error: Exception) -> Work:
    def work(_stage: Stage) -> None:
        raise error

    return work


def idle(_stage: Stage) -> None: ...


def failure_of(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    """Metadata of the Failure that the UI shows."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    details = event.step_failure_data.user_failure_data
    assert details
    return {name: value.value for name, value in details.metadata.items()}


def tags_of(world: World, result: dg.ExecuteInProcessResult) -> dict[str, str]:
    run = world.instance.get_run_by_id(result.run_id)
    assert run
    return dict(run.tags)


def artifacts(world: World) -> list[str]:
    return list(world.store.list_keys("artifacts"))


def let_leases_run_out(world: World) -> None:
    with world.ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET lease_until = lease_until - 1000000"))


def take(world: World, key: str, run_id: str = OTHER_RUN) -> leases.Claim:
    return leases.claim(world.ledger, key, None, run_id, lease_seconds=90, holder_finished=lambda _: False)


# --- success --------------------------------------------------------------------------------------------------------


def test_the_last_stage_completes_the_file(world: World):
    key = world.add()
    result = materialise(world, key, lambda stage: stage.report(words=7), name=LAST)
    assert result.success
    file = world.file(key)
    assert (file.status, file.progress, file.stage) == (Status.COMPLETED, 1.0, None)
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["words"].value == 7
    assert isinstance(metadata["stage_seconds"].value, float)
    assert metadata["artifact_key"].value in artifacts(world)
    (timing,) = timings.of_file(world.ledger, file.id)
    assert (timing.stage, timing.outcome, timing.error_code) == (LAST, Outcome.SUCCEEDED, None)


def test_between_stages_the_run_keeps_its_lease(world: World):
    key = world.add()
    assert materialise(world, key, idle).success
    assert world.file(key).status is Status.PROCESSING
    with pytest.raises(PipelineError, match="LEASE_HELD"):
        take(world, key)


def test_a_stage_materialised_alone_gives_the_file_back(world: World):
    key = world.add()
    materialise(world, key, idle, name=LAST)
    finished_at = world.file(key).finished_at
    assert materialise(world, key, idle, name="transcript", alone=True).success
    assert (world.file(key).status, world.file(key).finished_at) == (Status.COMPLETED, finished_at)
    take(world, key)


def test_progress_rises_and_stays_below_one_until_the_result_is_there(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stage_module, "_PROGRESS_SECONDS", 0.02)
    key, seen = world.add(), []

    def work(stage: Stage) -> None:
        for fraction in (0.1, 0.5, 0.3, 1.0, 7.0):
            stage.progress(fraction)
            time.sleep(0.15)
            seen.append(world.file(key).progress)
            assert world.file(key).stage == stage.name

    for name in ("upload", "transcription", LAST):
        assert materialise(world, key, work, name=name).success
        let_leases_run_out(world)  # each materialisation here is a run of its own
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[-1] < 1
    assert seen[4] == pytest.approx(STAGES["upload"] / 100)
    assert world.file(key).progress == 1.0


def test_the_heartbeat_keeps_the_lease_of_long_work(world: World):
    key = world.add()

    def work(_stage: Stage) -> None:
        time.sleep(2.6)  # longer than the lease of 2 s
        with pytest.raises(PipelineError, match="LEASE_HELD"):
            take(world, key)

    assert materialise(world, key, work).success


# --- failure --------------------------------------------------------------------------------------------------------


def test_a_permanent_error_ends_the_file_at_once(world: World):
    key = world.add()
    result = materialise(world, key, raising(PipelineError(ErrorCode.TOO_LONG, "12 h; the limit is 10 h")))
    assert not result.success
    assert failure_of(result) == {
        "error_code": "TOO_LONG",
        "error_class": "permanent",
        "remedy": CATALOGUE[ErrorCode.TOO_LONG].remedy,
    }
    assert tags_of(world, result)[NO_RETRY_TAG] == "false"
    file = world.file(key)
    assert (file.status, file.error_code) == (Status.ERROR, "TOO_LONG")
    assert file.error_text == "The recording is longer than this installation accepts (12 h; the limit is 10 h)."
    assert file.finished_at
    assert artifacts(world) == []
    (timing,) = timings.of_file(world.ledger, file.id)
    assert (timing.outcome, timing.error_code) == (Outcome.FAILED, "TOO_LONG")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PipelineError(ErrorCode.STORE_UNAVAILABLE), "STORE_UNAVAILABLE"),
        (PipelineError(ErrorCode.MODEL_UNAVAILABLE, "Whisper 'x'"), "MODEL_UNAVAILABLE"),
        (RuntimeError("secret path /home/ann"), "INTERNAL"),
        (MemoryError(), "OUT_OF_MEMORY"),
    ],
)
def test_an_error_that_may_pass_leaves_the_file_to_a_retry(world: World, error: Exception, code: str):
    key = world.add()
    result = materialise(world, key, raising(error))
    assert failure_of(result)["error_code"] == code
    assert NO_RETRY_TAG not in tags_of(world, result)
    file = world.file(key)
    assert (file.status, file.error_code) == (Status.QUEUED, code)
    assert "secret" not in str(file.error_text)
    take(world, key)  # the retry finds the file free


def test_a_retry_that_succeeds_clears_the_error(world: World):
    key = world.add()
    materialise(world, key, raising(PipelineError(ErrorCode.STORE_UNAVAILABLE)))
    materialise(world, key, idle, name=LAST)
    assert (world.file(key).status, world.file(key).error_code) == (Status.COMPLETED, None)
    assert world.file(key).attempts == 2


def test_a_failed_delivery_costs_nothing_but_itself(world: World):
    key = world.add()
    result = materialise(world, key, raising(PipelineError(ErrorCode.STORE_DENIED)), name=LAST)
    assert not result.success
    assert (world.file(key).status, world.file(key).degraded) == (Status.COMPLETED, [LAST])


def interrupt(_stage: Stage) -> None:
    os.kill(os.getpid(), signal.SIGINT)  # what Dagster's launchers send
    time.sleep(5)


def test_a_stage_may_let_the_file_go_on_without_it(world: World):
    key = world.add()
    broken = PipelineError(ErrorCode.MODEL_UNAVAILABLE, "no weights")
    assert materialise(world, key, lambda stage: stage.degrade(broken), name="diarization").success
    assert materialise(world, key, idle, name=LAST).success
    file = world.file(key)
    assert (file.status, file.degraded, file.error_code) == (Status.COMPLETED, ["diarization"], None)


def test_a_stage_that_succeeds_later_is_degraded_no_more(world: World):
    key = world.add()
    broken = PipelineError(ErrorCode.MODEL_UNAVAILABLE)
    materialise(world, key, lambda stage: stage.degrade(broken), name="diarization")
    materialise(world, key, idle, name=LAST)
    assert materialise(world, key, idle, name="diarization", alone=True).success
    assert world.file(key).degraded == []


def test_what_a_stage_used_is_kept(world: World):
    key = world.add()
    assert materialise(world, key, lambda _: sum(n * n for n in range(300_000)) and None).success
    (timing,) = timings.of_file(world.ledger, world.file(key).id)
    assert timing.cpu_seconds
    assert timing.gpu_seconds is None


def test_a_cancel_is_noted_and_goes_on_as_a_cancel(world: World):
    key = world.add()

    def cancelled(stage: Stage) -> None:
        run = world.instance.get_run_by_id(stage.claim.run_id)
        assert run
        world.instance.report_run_canceling(run)
        interrupt(stage)

    result = materialise(world, key, cancelled)
    run = world.instance.get_run_by_id(result.run_id)
    assert run
    assert run.status is dg.DagsterRunStatus.CANCELED
    assert (world.file(key).status, world.file(key).error_code) == (Status.CANCELLED, "CANCELLED")


def test_a_cancel_reaches_a_run_that_dagster_cannot_terminate(world: World):
    """Its launcher is gone, or its process belongs to a UI elsewhere: the heartbeat tells it."""
    key = world.add()

    def work(stage: Stage) -> None:
        requests.cancel(world.ledger, key, actor="test")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            stage.progress(0.5)
            time.sleep(0.02)

    result = materialise(world, key, work)
    run = world.instance.get_run_by_id(result.run_id)
    assert run
    assert run.status is dg.DagsterRunStatus.CANCELED
    file = world.file(key)
    assert (file.status, file.error_code, file.finished_at is not None) == (Status.CANCELLED, "CANCELLED", True)
    assert world.scalar("SELECT count(*) FROM media_file WHERE lease_owner IS NOT NULL") == 0


@pytest.mark.parametrize("moment", ["before it begins", "before its value is stored"])
def test_a_cancel_between_two_stages_stops_all_that_follow(world: World, moment: str):
    """Also those that Dagster would go on with, since they do not need the one that was refused."""
    key = world.add()
    began: list[str] = []

    def stage_asset(name: str) -> dg.AssetsDefinition:
        @dg.asset(**media_asset(name, "ingest"))
        def made(context: dg.AssetExecutionContext, ledger: dg.ResourceParam[Engine]) -> Subtitles:
            if name == "options" and moment == "before it begins":
                requests.cancel(world.ledger, key, actor="test")
            with Stage(context, ledger) as stage:
                began.append(name)
                leases.record_sha256(ledger, stage.claim, SHA256)
            if name == "options":
                requests.cancel(world.ledger, key, actor="test")
            return VALUE

        return made

    resources = {"store": world.store, "ledger": world.ledger, "artifacts": artifact_io_manager}
    assets = [stage_asset(name) for name in ("upload", "options", "audio")]
    job = dg.Definitions(assets=assets, resources=resources, executor=dg.in_process_executor)
    result = job.resolve_implicit_global_asset_job_def().execute_in_process(
        partition_key=key, instance=world.instance, tags={GENERATION_TAG: "1"}, raise_on_error=False
    )
    run = world.instance.get_run_by_id(result.run_id)
    assert run
    assert run.status is dg.DagsterRunStatus.CANCELED
    assert "audio" not in began
    assert began == (["upload"] if moment == "before it begins" else ["upload", "options"])
    assert world.file(key).status is Status.CANCELLED


def test_a_shutdown_that_nobody_asked_this_run_for_is_left_to_a_retry(world: World):
    """A machine that is drained or restarted: Dagster retries such runs, so the file has not failed."""
    key = world.add()
    result = materialise(world, key, interrupt)
    assert not result.success
    assert NO_RETRY_TAG not in tags_of(world, result)
    assert (world.file(key).status, world.file(key).error_code) == (Status.QUEUED, "INTERRUPTED")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PipelineError(ErrorCode.NO_AUDIO), ErrorCode.NO_AUDIO),
        (MemoryError(), ErrorCode.OUT_OF_MEMORY),
        (OSError(errno.ENOMEM, "fork"), ErrorCode.OUT_OF_MEMORY),
        (OSError(errno.ENOSPC, "write"), ErrorCode.DISK_FULL),
        (OSError(errno.EDQUOT, "write"), ErrorCode.DISK_FULL),
        (OperationalError("SELECT 1", {}, Exception()), ErrorCode.DATABASE_UNAVAILABLE),
        (OSError(errno.EACCES, "disk full"), ErrorCode.INTERNAL),
        (ValueError("out of memory"), ErrorCode.INTERNAL),
    ],
)
def test_errors_are_told_by_type_not_by_words(error: Exception, code: ErrorCode):
    assert translate(error).code is code


# --- who may write --------------------------------------------------------------------------------------------------


def start_run(world: World) -> None:
    """Another run that Dagster believes to be at work."""

    @dg.job
    def other() -> None: ...

    world.instance.create_run_for_job(other, run_id=OTHER_RUN, status=dg.DagsterRunStatus.STARTED)


def test_a_file_that_a_live_run_works_on_is_refused_untouched(world: World):
    key = world.add()
    start_run(world)
    take(world, key)
    before = world.file(key)
    worked: list[Stage] = []
    result = materialise(world, key, worked.append)
    assert failure_of(result)["error_code"] == "LEASE_HELD"
    assert tags_of(world, result)[NO_RETRY_TAG] == "false"
    assert worked == []
    assert world.file(key) == before


def test_a_lease_whose_run_has_ended_is_taken_over(world: World):
    key = world.add()
    start_run(world)
    take(world, key)
    run = world.instance.get_run_by_id(OTHER_RUN)
    assert run
    world.instance.report_run_failed(run)
    assert materialise(world, key, idle).success


def test_a_stale_generation_does_not_start(world: World):
    key = world.add()
    world.add(data=b"RIFF and more")
    leases.complete(world.ledger, take(world, key))
    world.add(data=b"RIFF and even more")
    before = world.file(key)
    assert before.generation == 2
    worked: list[Stage] = []
    result = materialise(world, key, worked.append)
    assert failure_of(result)["error_code"] == "LEASE_LOST"
    assert (worked, artifacts(world)) == ([], [])
    assert world.file(key) == before


def test_new_content_in_mid_work_leaves_nothing_of_the_old(world: World):
    key = world.add()
    result = materialise(world, key, lambda _stage: world.add(data=b"RIFF and more") and None)
    assert failure_of(result)["error_code"] == "LEASE_LOST"
    assert artifacts(world) == []
    file = world.file(key)
    assert (file.generation, file.status, file.error_code) == (2, Status.PENDING, None)


def test_a_run_that_lost_its_lease_stops_at_its_next_sign_of_life(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stage_module, "_PROGRESS_SECONDS", 0.02)
    key, stopped_at = world.add(), []

    def work(stage: Stage) -> None:
        let_leases_run_out(world)
        take(world, key)
        for step in range(1, 100):
            stopped_at.append(step)
            stage.progress(step / 100)
            time.sleep(0.05)

    result = materialise(world, key, work)
    assert failure_of(result)["error_code"] == "LEASE_LOST"
    assert stopped_at[-1] < 99
    assert artifacts(world) == []
    assert (world.file(key).run_id, world.file(key).status) == (OTHER_RUN, Status.PROCESSING)


def test_a_lease_lost_unnoticed_is_noticed_at_the_end(world: World):
    key = world.add()

    def work(_stage: Stage) -> None:
        let_leases_run_out(world)
        take(world, key)

    result = materialise(world, key, work)
    assert failure_of(result)["error_code"] in ("LEASE_LOST", "LEASE_HELD")
    assert artifacts(world) == []
    assert world.file(key).run_id == OTHER_RUN


def test_an_unknown_partition_is_said(world: World):
    world.instance.add_dynamic_partitions("media_files", ["nobody"])
    assert failure_of(materialise(world, "nobody", idle))["error_code"] == "FILE_UNKNOWN"


# --- the real assets ------------------------------------------------------------------------------------------------


def process(world: World, key: str) -> dg.ExecuteInProcessResult:
    # Not the module's `defs`: those know the store of the settings at import.
    job = build_defs().resolve_job_def("process_media")
    generation = str(world.file(key).generation)
    return job.execute_in_process(
        instance=world.instance,
        partition_key=key,
        tags={GENERATION_TAG: generation, TRIGGER_TAG: "upload"},
        raise_on_error=False,
    )


def test_what_is_not_media_ends_with_its_code(world: World):
    key = world.add("ann/notes.mp3", b"These are only words.\n" * 100)
    result = process(world, key)
    assert failure_of(result)["error_code"] == "NOT_MEDIA"
    assert (world.file(key).status, world.file(key).error_code) == (Status.ERROR, "NOT_MEDIA")


def test_silence_is_a_success_and_the_same_bytes_again_cost_nothing(world: World, tmp_path: Path):
    """The whole job with real models, twice: the second upload differs in its date only."""
    wav = tmp_path / "silence.wav"
    soundfile.write(wav, np.zeros(16_000, np.int16), 16_000)
    key = world.add("ann/silence.wav", wav.read_bytes())
    first = process(world, key)
    assert first.success
    record = transcripts.current(world.ledger, key)
    assert record
    assert transcripts.load(world.ledger, record.transcript_id).no_speech
    assert world.file(key).status is Status.COMPLETED
    checks = first.get_asset_check_evaluations()
    assert checks
    assert all(check.passed for check in checks)
    assert {timing.stage for timing in timings.of_file(world.ledger, world.file(key).id)} == set(STAGES)
    results = [key for key in world.store.list_keys("results") if key.endswith(".srt")]
    assert len(results) == 1

    upload = world.home / "store/uploads/ann/silence.wav"
    os.utime(upload, (time.time() - 5, time.time() - 5))
    world.add("ann/silence.wav", wav.read_bytes())
    assert world.file(key).generation == 2
    again = process(world, key)
    assert again.success
    assert [e.step_key for e in again.all_events if e.is_step_start] == ["upload"]
    assert (world.file(key).status, world.file(key).progress) == (Status.COMPLETED, 1.0)
    assert len(transcripts.versions(world.ledger, key)) == 1


# --- which stages a run comes to ------------------------------------------------------------------------------------


def a_run(*assets: str, **values: object) -> dg.DagsterRun:
    chosen = frozenset(map(dg.AssetKey, assets)) or None
    return dg.DagsterRun(job_name="process_media", asset_selection=chosen, **values)


def test_a_run_comes_to_what_is_selected_and_a_retry_to_what_is_left():
    assert stages_of(a_run()) == list(STAGES)
    assert stages_of(a_run("summary", "upload", "golden_evaluation")) == ["upload", "summary"]
    left = ["chapters", "chapters_chapters_cover_the_recording"]
    assert stages_of(a_run(root_run_id="first", parent_run_id="first", step_keys_to_execute=left)) == ["chapters"]
    assert stages_of(
        a_run("chapters", "summary", root_run_id="first", parent_run_id="first", step_keys_to_execute=left)
    ) == ["chapters"]
