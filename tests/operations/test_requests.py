"""What admins ask for, on a real ledger, a real store and real instances of Dagster."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from sqlalchemy import text

from tests.world import World, embedded_world
from transcribe_pipeline.artifacts import Audio, GivenTranscript
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import backlog, files, intake, leases, operations
from transcribe_pipeline.ledger.models import Cause, Status
from transcribe_pipeline.operations.requests import Answer, cancel, emergency_recovery, redrive, reprocess
from transcribe_pipeline.operations.values import reads
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import STAGES, stages_from

SHA = "ab" * 32
RunStatus = dg.DagsterRunStatus


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path, monkeypatch) as made:
        yield made


def artifacts(world: World) -> ArtifactStore:
    return ArtifactStore(world.store, settings().artifacts_prefix)


def claim(world: World, key: str, run_id: str = "run", *, own: bool = True) -> leases.Claim:
    max_tries = settings().max_tries if own else None
    nobody_finished: Any = {"lease_seconds": 90, "holder_finished": lambda _: False}
    return leases.claim(world.ledger, key, None, run_id, max_tries=max_tries, **nobody_finished)


def at_work(world: World, name: str = "ann/a.wav", *, made_until: str = "transcription") -> leases.Claim:
    """A file whose run has come as far as this stage: the values of the earlier ones are in the store."""
    key = world.add(name)
    backlog.mark_queued(world.ledger, backlog.next_requests(world.ledger, 9))
    held = claim(world, key)
    leases.record_sha256(world.ledger, held, SHA)
    make(world, key, *list(STAGES)[: list(STAGES).index(made_until)])
    leases.heartbeat(world.ledger, held, stage=made_until)
    return held


def make(world: World, key: str, *stages: str) -> None:
    """Values of these stages, as the file's present generation makes them; what is in most of them does not matter."""
    store, version = artifacts(world), FileVersion(content_id(SHA), world.file(key).generation)
    for stage in stages:
        value: Audio | GivenTranscript = GivenTranscript()
        if stage == "audio":
            flac = store.object_key(key, version, "audio.flac")
            world.store.put_bytes(flac, b"fLaC")
            facts: Any = {"size_bytes": 4, "sha256": SHA, "seconds": 1.0, "stream_index": 0}
            value = Audio(object_key=flac, track_rule="only track", downmix="mono", **facts)
        store.save(key, version, stage, value)


def failed(world: World, name: str = "ann/a.wav", *, code: ErrorCode = ErrorCode.OUT_OF_MEMORY) -> str:
    """A file that has failed while it was transcribed."""
    held = at_work(world, name)
    leases.fail(world.ledger, held, PipelineError(code), final=True)
    return held.partition_key


def ended(world: World, status: Status, *, degraded: list[str] | None = None) -> str:
    """A file of which everything is made, in this state."""
    held = at_work(world, made_until=list(STAGES)[-1])
    make(world, held.partition_key, list(STAGES)[-1])
    leases.complete(world.ledger, held, degraded=degraded or ())
    with world.ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET status = 'processing'"))
        connection.execute(text("UPDATE media_file SET status = :status"), {"status": status.value})
    return held.partition_key


def answer(answers: list[Answer]) -> Answer:
    (only,) = answers
    return only


# --- cancel ---------------------------------------------------------------------------------------------------------


@dg.op
def nothing() -> None: ...


@dg.job
def idle() -> None:
    nothing()


ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("code"), "repository"), "idle")
QUEUED_RUNS = {"run_coordinator": {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"}}


def run_of(instance: dg.DagsterInstance, key: str, status: RunStatus) -> str:
    tags = {"dagster/partition": key}
    return instance.create_run_for_job(idle, status=status, tags=tags, remote_job_origin=ORIGIN).run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> RunStatus:
    run = instance.get_run_by_id(run_id)
    assert run
    return run.status


def test_what_waits_is_cancelled_here_and_in_dagsters_queue(world: World):
    key, other = world.add("ann/a.wav"), world.add("ann/b.wav")
    backlog.mark_queued(world.ledger, backlog.next_requests(world.ledger, 9))
    with dg.instance_for_test(overrides=QUEUED_RUNS) as instance:
        meant, untouched = run_of(instance, key, RunStatus.QUEUED), run_of(instance, other, RunStatus.QUEUED)
        assert answer(cancel(world.ledger, instance, [key], actor="test")) == Answer(key, "cancelled")
        assert status_of(instance, meant) is RunStatus.CANCELED
        assert status_of(instance, untouched) is RunStatus.QUEUED
    assert (world.file(key).status, world.file(other).status) == (Status.CANCELLED, Status.QUEUED)


def test_a_run_that_nobody_can_reach_is_told_by_the_ledger(world: World):
    held = at_work(world)
    run_id = run_of(world.instance, held.partition_key, RunStatus.STARTED)
    with world.ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET run_id = :id, lease_owner = :id"), {"id": run_id})
    # The launcher of this instance cannot terminate anything, as one that has gone.
    assert answer(cancel(world.ledger, world.instance, [held.partition_key], actor="test")).action == "cancelling"
    assert status_of(world.instance, run_id) is RunStatus.STARTED
    assert not leases.heartbeat(world.ledger, claim_of(held, run_id))


def claim_of(held: leases.Claim, run_id: str) -> leases.Claim:
    return replace(held, run_id=run_id)


def test_without_dagster_the_ledger_alone_tells_the_run(world: World):
    held = at_work(world)
    assert answer(cancel(world.ledger, None, [held.partition_key], actor="test")).action == "cancelling"
    assert not leases.heartbeat(world.ledger, held)


def test_a_file_whose_run_is_gone_need_not_wait_for_it(world: World):
    held = at_work(world)
    assert world.instance.get_run_by_id(held.run_id) is None
    assert answer(cancel(world.ledger, world.instance, [held.partition_key], actor="test")).action == "cancelled"
    assert world.scalar("SELECT count(*) FROM media_file WHERE lease_owner IS NOT NULL") == 0


def test_what_has_ended_is_refused_and_stops_no_other(world: World):
    done, waits = failed(world, "ann/a.wav"), world.add("ann/b.wav")
    refused, missing, cancelled = cancel(world.ledger, world.instance, [done, "nothing", waits], actor="test")
    assert refused.reason == (
        "This cannot be asked for (the work on it has ended: error)."
        " Correct what is named; '--help' of the command lists what there is. [BAD_REQUEST]"
    )
    assert "[FILE_UNKNOWN]" in (missing.reason or "")
    assert cancelled == Answer(waits, "cancelled")
    assert world.file(done).status is Status.ERROR


# --- redrive --------------------------------------------------------------------------------------------------------


def test_a_file_goes_on_with_the_stage_at_which_it_failed(world: World):
    key = failed(world)
    assert answer(redrive(world.ledger, artifacts(world), [key], actor="cli:ann")) == Answer(
        key, "redriven from transcription"
    )
    (needed,) = backlog.next_requests(world.ledger, 9)
    assert (needed.resume_from, needed.cause, needed.generation) == ("transcription", Cause.REDRIVE, 2)
    (entry,) = operations.of_file(world.ledger, world.file(key).id)
    assert (entry.operation, entry.actor, entry.detail) == ("redrive", "cli:ann", {"error_code": "OUT_OF_MEMORY"})


def test_what_an_earlier_request_made_does_not_count_as_made_by_a_later_one(world: World):
    """The second request, for another model, failed: the first one's transcription is not what is wanted."""
    key = ended(world, Status.COMPLETED)
    answer(reprocess(world.ledger, artifacts(world), settings(), [key], {"model": "small"}, actor="test"))
    held = claim(world, key, "run-2")
    make(world, key, "upload", "options", "media_metadata", "audio")
    leases.fail(world.ledger, held, PipelineError(ErrorCode.OUT_OF_MEMORY), final=True)
    assert answer(redrive(world.ledger, artifacts(world), [key], actor="test")).action == "redriven from transcription"


def test_where_a_value_is_gone_the_work_begins_with_the_stage_that_makes_it(world: World):
    key = failed(world)
    (world.home / f"store/artifacts/{key}/{content_id(SHA)}/g0001/audio.flac").unlink()
    refused = answer(redrive(world.ledger, artifacts(world), [key], from_stage="transcription", actor="test"))
    assert "missing from the store (stage 'audio')" in (refused.reason or "")
    assert answer(redrive(world.ledger, artifacts(world), [key], actor="test")).action == "redriven from audio"


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("transcript", "stage 'transcription'"),
        ("subtitles", "stage 'transcript_record'"),
        ("nonsense", "there is no stage 'nonsense'"),
    ],
)
def test_a_stage_that_cannot_be_begun_with_is_refused(world: World, stage: str, said: str):
    key = failed(world)
    refused = answer(redrive(world.ledger, artifacts(world), [key], from_stage=stage, actor="test"))
    assert said in (refused.reason or "")
    assert world.file(key).generation == 1


def test_a_named_stage_may_come_before_the_one_that_failed(world: World):
    key = failed(world)
    assert answer(redrive(world.ledger, artifacts(world), [key], from_stage="options", actor="test")).reason is None
    assert world.file(key).resume_from == "options"


def test_an_orphan_is_redriven_once_its_upload_is_back(world: World):
    key = world.add()
    leases.fail(world.ledger, claim(world, key), PipelineError(ErrorCode.SOURCE_GONE), final=True)
    assert world.file(key).status is Status.ORPHANED
    (world.home / "store/uploads/ann/a.wav").unlink()
    assert "[SOURCE_GONE]" in (answer(redrive(world.ledger, artifacts(world), [key], actor="test")).reason or "")
    world.put("ann/a.wav")
    assert answer(redrive(world.ledger, artifacts(world), [key], actor="test")).action == "redriven from upload"


def test_a_complete_file_wants_a_stage_and_a_degraded_one_knows_it(world: World):
    key = ended(world, Status.COMPLETED)
    assert "nothing is lacking" in (answer(redrive(world.ledger, artifacts(world), [key], actor="test")).reason or "")
    assert answer(redrive(world.ledger, artifacts(world), [key], from_stage="summary", actor="test")).reason is None
    leases.complete(world.ledger, claim(world, key, "run-2"), degraded=["summary", "chapters"])
    assert answer(redrive(world.ledger, artifacts(world), [key], actor="test")).action == "redriven from chapters"
    assert world.file(key).degraded == []


def test_what_has_not_ended_is_refused(world: World):
    waits, works = world.add("ann/a.wav"), at_work(world, "ann/b.wav").partition_key
    first, second = redrive(world.ledger, artifacts(world), [waits, works], actor="test")
    assert "waits to be processed already" in (first.reason or "")
    assert "cancel it first" in (second.reason or "")


def test_the_inputs_of_stages_are_those_of_the_assets():
    assert reads()["transcript"] == {"transcription", "given_transcript", "alignment", "diarization"}
    assert reads()["subtitles"] == {"transcript_record"}, "it follows speaker_identities, and reads nothing of it"
    assert reads().keys() == STAGES.keys()


# --- reprocess ------------------------------------------------------------------------------------------------------


def test_reprocessing_from_a_stage(world: World):
    key = ended(world, Status.COMPLETED)
    asked: dict[str, Any] = {"from_stage": "options", "actor": "test"}
    assert not answer(reprocess(world.ledger, artifacts(world), settings(), [key], {"model": "small"}, **asked)).reason
    file = world.file(key)
    assert (file.resume_from, file.cause, file.requested_options) == ("options", Cause.REPROCESS, {"model": "small"})


def test_options_must_be_right_and_be_read(world: World):
    key, other = ended(world, Status.COMPLETED), world.add("ann/b.wav")
    for wishes, stage, code in (
        ({"beam_size": "x"}, None, "BAD_OPTIONS"),
        ({"model": "tiny"}, "summary", "BAD_REQUEST"),
    ):
        with pytest.raises(PipelineError, match=code):
            reprocess(world.ledger, artifacts(world), settings(), [other, key], wishes, from_stage=stage, actor="test")
    assert (world.file(key).generation, world.file(other).requested_options) == (1, {})


def test_reprocessing_refuses_what_has_lost_its_values(world: World):
    whole, without = ended(world, Status.COMPLETED), world.add("ann/b.wav")
    asked: dict[str, Any] = {"from_stage": "transcript_record", "actor": "test"}
    good, refused = reprocess(world.ledger, artifacts(world), settings(), [without, whole], {}, **asked)
    assert (good.partition_key, good.action) == (whole, "to be processed again from transcript_record")
    assert (refused.partition_key, "[ARTIFACT_MISSING]" in (refused.reason or "")) == (without, True)


# --- emergency recovery ---------------------------------------------------------------------------------------------


def rescue(world: World, key: str) -> Answer:
    asked = (world.ledger, world.instance, world.store, settings(), [key])
    return answer(emergency_recovery(*asked, actor="cli:ann"))


def test_a_live_run_is_never_disturbed(world: World):
    held = at_work(world)
    run_of(world.instance, held.partition_key, RunStatus.STARTED)
    assert rescue(world, held.partition_key) == Answer(
        held.partition_key, "left alone", found="A run is at work on it."
    )
    assert leases.heartbeat(world.ledger, held)


def test_a_dead_run_is_recovered_at_once(world: World):
    held = at_work(world)
    with world.ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET lease_until = 1"))
    found = rescue(world, held.partition_key)
    assert (found.action, found.found) == (
        "went again",
        "Its run ended without a word: killed, or cut off from the ledger.",
    )
    assert (world.file(held.partition_key).resume_from, world.file(held.partition_key).status) == (
        "transcription",
        Status.PENDING,
    )


@pytest.mark.parametrize("tries", [1, 3])
def test_a_failure_that_may_pass_waits_for_nothing(world: World, tries: int):
    """Recovery would rest for five minutes after the first try, and quarantine the file after the third."""
    key = failed(world, code=ErrorCode.STORE_UNAVAILABLE)
    with world.ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET tries = :tries"), {"tries": tries})
    assert rescue(world, key).action == "redriven from transcription"
    assert (world.file(key).tries, world.file(key).status) == (0, Status.PENDING)
    assert [e.operation for e in operations.of_file(world.ledger, world.file(key).id)] == ["emergency_recovery"]


def test_a_dead_run_after_the_last_try_gets_new_tries_from_a_person(world: World):
    held = at_work(world)
    with world.ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET lease_until = 1, tries = 3"))
    assert rescue(world, held.partition_key).action == "redriven from transcription"
    done = [entry.operation for entry in operations.of_file(world.ledger, held.media_file_id)]
    assert done == ["quarantine", "emergency_recovery"], "the evidence stays"


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (Status.QUARANTINED, f"redriven from {list(STAGES)[-1]}"),
        (Status.CANCELLED, "left alone"),
        (Status.COMPLETED, "left alone"),
    ],
)
def test_what_has_ended_is_told_apart(world: World, status: Status, action: str):
    assert rescue(world, ended(world, status)).action == action


def test_a_failure_that_would_repeat_is_explained_and_left_to_people(world: World):
    found = rescue(world, failed(world, code=ErrorCode.NO_AUDIO))
    assert found.action == "left alone"
    assert "It would fail again. The recording has no audio track." in (found.found or "")


def test_only_the_lacking_stages_of_a_degraded_file_are_repeated(world: World):
    key = ended(world, Status.COMPLETED, degraded=["chapters"])
    assert rescue(world, key).action == "repeated"
    (backfill,) = world.instance.get_backfills()
    assert [str(each) for each in backfill.asset_selection or ()] == [str(dg.AssetKey("chapters"))]
    assert world.file(key).generation == 1


def test_a_pause_of_intake_is_named(world: World):
    key = failed(world, code=ErrorCode.STORE_UNAVAILABLE)
    intake.pause(world.ledger, "the store is being moved", "cli:bob")
    assert "the store is being moved. Now: 'transcribe intake resume'." in (rescue(world, key).found or "")


def test_every_stage_can_be_begun_with_when_everything_is_there(world: World):
    key = ended(world, Status.COMPLETED)
    for generation, stage in enumerate(STAGES, start=2):
        assert not answer(redrive(world.ledger, artifacts(world), [key], from_stage=stage, actor="test")).is_refused
        file = files.get(world.ledger, key)
        assert (file.generation, stages_from(file.resume_from)[0]) == (generation, stage)
        leases.complete(world.ledger, claim(world, key, f"run-{generation}"))
