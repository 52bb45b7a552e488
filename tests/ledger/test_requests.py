"""What admins ask of files: each request changes what it says, tells the audit log, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.ledger.samples import MEETING, NOON, claimed, nobody_finished, take, transcript, upload
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import events, forgetting, leases, operations, requests, transcripts
from transcribe_pipeline.ledger.backlog import mark_queued, next_requests
from transcribe_pipeline.ledger.files import FileView, get, list_files, register
from transcribe_pipeline.ledger.leases import claim, complete, fail, fail_abandoned, heartbeat, record_sha256
from transcribe_pipeline.ledger.models import Cause, EventKind, Status
from transcribe_pipeline.ledger.requests import cancel, hold, redrive, request_again


def file(engine: Engine, key: str = MEETING) -> FileView:
    return get(engine, key)


def log(engine: Engine) -> list[tuple[str, str, str, str, int | None]]:
    entries = operations.of_file(engine, file(engine).id)
    return [(entry.operation, entry.cause, entry.action, entry.actor, entry.generation) for entry in entries]


def requested(engine: Engine) -> None:
    register(engine, [upload()], settle_seconds=0)
    mark_queued(engine, next_requests(engine, 9))


def finished(engine: Engine) -> None:
    """Transcribed and completed."""
    held = claimed(engine)
    record_sha256(engine, held, "a" * 64)
    transcripts.save(engine, held, transcript(), artifact_key="x", provenance={})
    complete(engine, held)


def own_run(engine: Engine, run_id: str = "run-1") -> leases.Claim:
    return claim(engine, MEETING, None, run_id, lease_seconds=90, holder_finished=nobody_finished, max_tries=3)


# --- cancel ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [lambda engine: register(engine, [upload()], settle_seconds=0), requested])
def test_what_waits_is_cancelled_at_once(engine: Engine, begin: Callable[[Engine], Any]):
    begin(engine)
    before = file(engine).status
    stopped = cancel(engine, MEETING, actor="cli:ann")
    assert stopped == requests.Stopped(1, before, Status.CANCELLED, None)
    assert (file(engine).status, file(engine).error_code) == (Status.CANCELLED, "CANCELLED")
    assert file(engine).finished_at is not None
    assert log(engine) == [("cancel", f"asked for while {before.value}", "cancelled", "cli:ann", 1)]
    assert [event.kind for event in events.pending(engine, 9)] == [EventKind.FAILED]
    assert next_requests(engine, 9) == []


def test_a_run_that_was_requested_before_the_cancel_may_not_begin_after_it(engine: Engine):
    requested(engine)
    needed = next_requests(engine, 9)
    cancel(engine, MEETING, actor="cli:ann")
    mark_queued(engine, needed)
    with pytest.raises(PipelineError, match="CANCELLED"):
        own_run(engine)
    assert file(engine).status is Status.CANCELLED
    assert take(engine).generation == 1, "a run that a person launches takes the cancel back"


def test_a_run_at_work_is_told_to_stop_and_keeps_its_lease_until_it_has(engine: Engine):
    held = claimed(engine)
    assert cancel(engine, MEETING, actor="cli:ann") == requests.Stopped(
        1, Status.PROCESSING, Status.CANCELLING, "run-1"
    )
    assert cancel(engine, MEETING, actor="cli:ann").before is Status.CANCELLING
    assert heartbeat(engine, held) is False
    with pytest.raises(PipelineError, match="CANCELLED"):
        take(engine)
    with pytest.raises(PipelineError, match="CANCELLED"):
        take(engine, "run-2")
    fail(engine, held, PipelineError(ErrorCode.CANCELLED), final=True)
    assert file(engine).status is Status.CANCELLED
    assert len(log(engine)) == 1, "repeating a request is no news"


def test_a_cancel_between_stages_ends_with_the_run(engine: Engine):
    claimed(engine)
    cancel(engine, MEETING, actor="cli:ann")
    assert fail_abandoned(engine, MEETING, 1, "run-1", PipelineError(ErrorCode.WORKER_LOST))
    assert (file(engine).status, file(engine).error_code) == (Status.CANCELLED, "WORKER_LOST")


def test_cancelling_what_a_person_had_run_again_leaves_the_file_as_it_had_ended(engine: Engine):
    finished(engine)
    before = file(engine)
    held = take(engine, "run-2")
    cancel(engine, MEETING, actor="cli:ann")
    assert fail_abandoned(engine, MEETING, None, held.run_id, PipelineError(ErrorCode.CANCELLED))
    now = file(engine)
    assert (now.status, now.error_code, now.finished_at) == (Status.COMPLETED, None, before.finished_at)
    assert now.current_transcript_id == before.current_transcript_id


def test_also_while_it_waits_for_a_retry(engine: Engine):
    finished(engine)
    before = file(engine)
    fail(engine, take(engine, "run-2"), PipelineError(ErrorCode.STORE_UNAVAILABLE), final=False)
    assert file(engine).status is Status.QUEUED
    assert cancel(engine, MEETING, actor="cli:ann").after is Status.COMPLETED
    now = file(engine)
    assert (now.status, now.finished_at, now.error_code) == (Status.COMPLETED, before.finished_at, None)
    assert now.current_transcript_id == before.current_transcript_id
    assert [entry[2] for entry in log(engine)] == ["completed"]


def test_what_has_ended_is_left_alone(engine: Engine):
    finished(engine)
    before = file(engine)
    assert cancel(engine, MEETING, actor="cli:ann").before is Status.COMPLETED
    assert (file(engine), log(engine)) == (before, [])


def test_a_cancelled_file_keeps_its_earlier_transcript(engine: Engine):
    finished(engine)
    request_again(engine, [MEETING], {}, actor="cli:ann")
    cancel(engine, MEETING, actor="cli:ann")
    assert file(engine).status is Status.CANCELLED
    assert file(engine).current_transcript_id is not None


# --- redrive --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status", [Status.COMPLETED, Status.ERROR, Status.QUARANTINED, Status.CANCELLED, Status.ORPHANED]
)
def test_a_file_that_has_ended_goes_on_with_a_stage(engine: Engine, status: Status):
    finished(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE media_file SET status = 'processing', tries = 3"))
        connection.execute(text("UPDATE media_file SET status = :status"), {"status": status.value})
    assert redrive(engine, MEETING, 1, status, ["summary"], actor="cli:ann")
    now = file(engine)
    assert (now.status, now.generation, now.base_generation, now.tries) == (Status.PENDING, 2, 2, 0)
    assert (now.sha256, now.current_transcript_id is not None) == ("a" * 64, True)
    (needed,) = next_requests(engine, 9)
    assert (needed.resume_from, needed.cause, needed.generation) == ("summary", Cause.REDRIVE, 2)
    assert log(engine) == [("redrive", f"asked for while {status.value}", "begun again with summary", "cli:ann", 2)]


def test_of_two_redrives_one_counts(engine: Engine):
    finished(engine)
    assert redrive(engine, MEETING, 1, Status.COMPLETED, ["summary"], actor="cli:ann")
    assert not redrive(engine, MEETING, 1, Status.COMPLETED, ["summary"], actor="cli:bob")
    assert file(engine).generation == 2


def test_what_is_not_as_it_was_seen_is_not_redriven(engine: Engine):
    held = claimed(engine)
    assert not redrive(engine, MEETING, 1, Status.PROCESSING, ["summary"], actor="cli:ann")
    complete(engine, held)
    take(engine, "run-2")
    assert not redrive(engine, MEETING, 1, Status.COMPLETED, ["summary"], actor="cli:ann")
    assert file(engine).generation == 1


def test_what_lacked_before_the_stage_is_lacking_still(engine: Engine):
    finished(engine)
    complete(engine, take(engine, "run-2"), degraded=["subtitles", "chapters"])
    redrive(engine, MEETING, 1, Status.COMPLETED, ["chapters", "summary"], actor="cli:ann")
    complete(engine, take(engine, "run-3"))
    assert file(engine).degraded == ["subtitles"]


# --- once more ------------------------------------------------------------------------------------------------------


def test_processing_again_is_a_new_generation_of_the_same_bytes(engine: Engine):
    claim = claimed(engine)
    record_sha256(engine, claim, "a" * 64)
    fail(engine, claim, PipelineError(ErrorCode.NO_AUDIO), final=True)
    assert request_again(engine, [MEETING, "unknown"], {"model": "small"}, actor="ann") == [MEETING]
    (file,) = list_files(engine)
    assert (file.generation, file.status, file.sha256, file.error_code) == (2, Status.PENDING, "a" * 64, None)
    (needed,) = next_requests(engine, 9)
    assert (needed.generation, needed.cause) == (2, Cause.REPROCESS)
    assert take(engine).requested_options == {"model": "small"}


def test_a_run_at_work_is_superseded_by_a_request(engine: Engine):
    claim = claimed(engine)
    request_again(engine, [MEETING], {}, actor="ann")
    with pytest.raises(PipelineError, match="LEASE_LOST"):
        heartbeat(engine, claim)


def test_requested_options_add_up_until_they_are_cleared(engine: Engine):
    complete(engine, claimed(engine))
    for options, clear, wanted in (
        ({"model": "small", "speakers": 2}, False, {"model": "small", "speakers": 2}),
        ({"speakers": None, "language": "de"}, False, {"model": "small", "language": "de"}),
        ({"beam_size": 1}, True, {"beam_size": 1}),
        ({}, True, {}),
    ):
        request_again(engine, [MEETING], options, clear=clear, actor="ann")
        assert list_files(engine)[0].requested_options == wanted
    assert file(engine).generation == 2, "nobody had begun the second one"
    register(engine, [upload(etag="e2")], settle_seconds=0)
    (needed,) = next_requests(engine, 9)
    assert (needed.generation, needed.cause) == (2, Cause.REPROCESS)


def test_new_content_after_a_request_is_an_upload_again_and_keeps_the_options(engine: Engine):
    complete(engine, claimed(engine))
    request_again(engine, [MEETING], {"model": "small"}, actor="ann")
    mark_queued(engine, next_requests(engine, 9))
    register(engine, [upload(etag="e2")], settle_seconds=0)
    (needed,) = next_requests(engine, 9)
    assert (needed.generation, needed.cause) == (3, Cause.UPLOAD)
    assert list_files(engine)[0].requested_options == {"model": "small"}


def test_many_may_be_asked_for_and_uploads_go_first(engine: Engine):
    old = [upload(f"{number}.mp3") for number in range(1_500)]
    register(engine, old, settle_seconds=0, now=NOON)
    with engine.begin() as connection:
        connection.execute(text("UPDATE media_file SET status = 'processing'"))
        connection.execute(text("UPDATE media_file SET status = 'completed', requested_at = registered_at"))
    keys = [each.partition_key for each in old]
    assert set(request_again(engine, keys, {"model": "small"}, actor="ann")) == set(keys)
    register(engine, [upload("new.mp3")], settle_seconds=0)
    first, *others = next_requests(engine, 50)
    assert (first.file_name, first.cause) == ("new.mp3", Cause.UPLOAD)
    assert {each.cause for each in others} == {Cause.REPROCESS}


def test_a_stage_may_be_named_to_begin_with(engine: Engine):
    finished(engine)
    request_again(engine, [MEETING], {"model": "small"}, stages=["options", "summary"], actor="cli:ann")
    (needed,) = next_requests(engine, 9)
    assert (needed.resume_from, needed.cause, file(engine).base_generation) == ("options", Cause.REPROCESS, 2)
    request_again(engine, [MEETING], {}, actor="cli:ann")
    (needed,) = next_requests(engine, 9)
    assert (needed.resume_from, needed.generation) == (None, 2), "the later request, for everything, counts"
    assert [entry[2] for entry in log(engine)] == ["begun again with options", "begun again"]


def test_the_audit_log_names_options_and_not_their_values(engine: Engine):
    finished(engine)
    request_again(engine, [MEETING], {"vocabulary": ["Zoë"]}, actor="cli:ann")
    (entry,) = operations.of_file(engine, file(engine).id)
    assert entry.detail == {"options": ["vocabulary"], "clear": False}


# --- a file that is being forgotten ---------------------------------------------------------------------------------


def test_nothing_can_be_asked_of_a_file_that_is_being_forgotten(engine: Engine):
    finished(engine)
    forgetting.seal(engine, MEETING, holder_finished=nobody_finished)
    sealed = file(engine)
    assert request_again(engine, [MEETING], {}, actor="cli:ann") == []
    assert not redrive(engine, MEETING, sealed.generation, sealed.status, ["summary"], actor="cli:ann")
    with pytest.raises(PipelineError, match="FILE_UNKNOWN"):
        cancel(engine, MEETING, actor="cli:ann")
    with pytest.raises(PipelineError, match="FILE_UNKNOWN"):
        hold(engine, MEETING, "evidence", actor="cli:ann")
    assert file(engine) == sealed


# --- hold -----------------------------------------------------------------------------------------------------------


def test_a_hold_stays_through_generations_until_it_is_released(engine: Engine):
    finished(engine)
    hold(engine, MEETING, "court case 7\x00", actor="cli:ann")
    hold(engine, MEETING, "court case 7\x00", actor="cli:ann")
    request_again(engine, [MEETING], {}, actor="cli:ann")
    assert file(engine).legal_hold == "court case 7"
    hold(engine, MEETING, None, actor="cli:bob")
    assert file(engine).legal_hold is None
    assert [entry[2:4] for entry in log(engine) if entry[0] == "hold"] == [("held", "cli:ann"), ("released", "cli:bob")]
    with pytest.raises(PipelineError, match="FILE_UNKNOWN"):
        hold(engine, "nothing", "x", actor="cli:ann")
