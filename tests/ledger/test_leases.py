"""Claims: one holder at a time, nothing written without one."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.ledger.samples import MEETING, claimed, nobody_finished, take, transcript, upload
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import events, transcripts
from transcribe_pipeline.ledger.backlog import mark_queued, next_requests
from transcribe_pipeline.ledger.files import list_files, register
from transcribe_pipeline.ledger.leases import (
    Claim,
    check,
    claim,
    complete,
    fail,
    fail_abandoned,
    heartbeat,
    record_sha256,
    release,
)
from transcribe_pipeline.ledger.models import EventKind, Status

WORKER_LOST = PipelineError(ErrorCode.WORKER_LOST)

WRITES: dict[str, Callable[[Engine, Claim], object]] = {
    "heartbeat": lambda engine, held: heartbeat(engine, held, progress=0.9, stage="audio"),
    "record_sha256": lambda engine, held: record_sha256(engine, held, "b" * 64),
    "check": check,
    "complete": complete,
    "fail": lambda engine, held: fail(engine, held, WORKER_LOST, final=True),
    "release": release,
    "save": lambda engine, held: transcripts.save(engine, held, transcript(), artifact_key="k", provenance={}),
}


def _refused(code: ErrorCode, action: Callable[..., object], *arguments: Any, **options: Any) -> PipelineError:
    with pytest.raises(PipelineError) as refusal:
        action(*arguments, **options)
    assert refusal.value.code == code
    return refusal.value


def test_a_claim_tells_what_to_work_on(engine: Engine):
    register(engine, [upload(version="v1")], settle_seconds=0)
    held = take(engine)
    assert (held.generation, held.owner, held.object_key) == (1, "ann", "uploads/ann/meeting.mp3")
    assert (held.etag, held.version, held.size_bytes, held.attempts) == ("e1", "v1", 1000, 1)
    assert (held.sha256, held.transcribed_sha256) == (None, None)
    (file,) = list_files(engine)
    assert file.status == Status.PROCESSING
    assert file.started_at is not None


def test_what_cannot_be_claimed(engine: Engine):
    claimed(engine)
    _refused(ErrorCode.FILE_UNKNOWN, take, engine, key="unknown")
    _refused(ErrorCode.LEASE_LOST, take, engine, "run-2", generation=2)
    assert "run-1" in str(_refused(ErrorCode.LEASE_HELD, take, engine, "run-2"))
    register(engine, [upload(etag="e2")], settle_seconds=0)
    _refused(ErrorCode.LEASE_LOST, take, engine, "run-2", generation=1)
    assert take(engine, "run-2", generation=2).etag == "e2"


def test_a_run_that_has_failed_a_file_does_not_begin_it_again(engine: Engine):
    """Dagster goes on with the stages that need not the failed one; a person's next run is another run."""
    fail(engine, claimed(engine), PipelineError(ErrorCode.BAD_OPTIONS, "langauge"), final=True)
    _refused(ErrorCode.LEASE_LOST, take, engine)
    (file,) = list_files(engine)
    assert (file.status, file.error_code) == (Status.ERROR, "BAD_OPTIONS")
    assert "langauge" in str(file.error_text)
    assert take(engine, "run-2").generation == 1


def test_the_facts_of_a_failure_outlive_the_stages_after_it(engine: Engine):
    """A run that failed for now goes on with another stage; then Dagster gives it up, knowing the code alone."""
    fail(engine, claimed(engine), PipelineError(ErrorCode.MODEL_UNAVAILABLE, "Whisper 'large'"), final=False)
    take(engine)
    assert fail_abandoned(engine, MEETING, 1, "run-1", PipelineError(ErrorCode.MODEL_UNAVAILABLE))
    (file,) = list_files(engine)
    assert (file.status, file.error_code) == (Status.ERROR, "MODEL_UNAVAILABLE")
    assert "Whisper 'large'" in str(file.error_text)


def test_the_same_run_may_claim_again_and_is_counted_once(engine: Engine):
    first = claimed(engine)
    started = list_files(engine)[0].started_at
    assert take(engine).attempts == first.attempts == 1
    assert list_files(engine)[0].started_at == started
    release(engine, first)
    assert take(engine).attempts == 1
    release(engine, first)
    assert take(engine, "run-2").attempts == 2


def test_an_expired_lease_is_free_and_its_old_holder_is_fenced(engine: Engine, expire: Callable[[], None]):
    old = claimed(engine)
    expire()
    check(engine, old)  # nobody has taken it: a pause alone loses nothing
    assert take(engine, "run-2").attempts == 2
    _refused(ErrorCode.LEASE_LOST, check, engine, old)


def test_a_heartbeat_renews_the_lease(engine: Engine, expire: Callable[[], None]):
    held = claimed(engine)
    expire()
    heartbeat(engine, held)
    _refused(ErrorCode.LEASE_HELD, take, engine, "run-2")


def test_a_dead_holders_lease_is_free(engine: Engine):
    claimed(engine)
    asked: list[str] = []

    def finished(run_id: str) -> bool:
        asked.append(run_id)
        return run_id == "run-1"

    assert claim(engine, MEETING, None, "run-2", lease_seconds=90, holder_finished=finished).attempts == 2
    assert asked == ["run-1"]
    _refused(ErrorCode.LEASE_HELD, claim, engine, MEETING, None, "run-3", lease_seconds=90, holder_finished=finished)


def test_a_holder_taken_for_dead_is_not_mistaken_for_the_next(engine: Engine, expire: Callable[[], None]):
    """While we asked about the holder, yet another run has taken the file: its lease counts."""
    claimed(engine)

    def slow_answer(_run_id: str) -> bool:
        expire()
        take(engine, "run-2")
        return True

    _refused(ErrorCode.LEASE_HELD, claim, engine, MEETING, 1, "run-3", lease_seconds=90, holder_finished=slow_answer)


def test_of_many_claimers_at_once_one_wins(engine: Engine):
    register(engine, [upload()], settle_seconds=0)
    start, outcomes = threading.Barrier(4), []

    def run(run_id: str) -> None:
        start.wait()
        try:
            take(engine, run_id)
            outcomes.append("won")
        except PipelineError as refusal:
            outcomes.append(refusal.code)

    threads = [threading.Thread(target=run, args=(f"run-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [ErrorCode.LEASE_HELD] * 3 + ["won"]
    assert list_files(engine)[0].attempts == 1


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("superseded_by", ["generation", "run"])
def test_a_superseded_claim_writes_nothing(
    engine: Engine, expire: Callable[[], None], scalar: Callable[[str], Any], name: str, superseded_by: str
):
    old = claimed(engine)
    if superseded_by == "generation":
        register(engine, [upload(etag="e2")], settle_seconds=0)
    else:
        expire()
        take(engine, "run-2")
    before = list_files(engine)
    _refused(ErrorCode.LEASE_LOST, WRITES[name], engine, old)
    assert list_files(engine) == before
    assert scalar("SELECT count(*) FROM transcript") == 0
    assert events.pending(engine, 9) == []


def test_progress_rises_only_and_stops_short_of_the_end(engine: Engine):
    held = claimed(engine)
    seen = []
    for progress in (0.2, 0.5, 0.4, None, 1.0, 7.0):
        heartbeat(engine, held, progress=progress)
        seen.append(list_files(engine)[0].progress)
    assert seen == [0.2, 0.5, 0.5, 0.5, 0.99, 0.99]
    complete(engine, held)
    assert list_files(engine)[0].progress == 1


def test_completing(engine: Engine):
    held = claimed(engine)
    heartbeat(engine, held, stage="subtitles")
    complete(engine, held, degraded=["search_document"])
    (file,) = list_files(engine)
    assert (file.status, file.stage, file.degraded) == (Status.COMPLETED, None, ["search_document"])
    assert file.finished_at is not None
    (told,) = events.pending(engine, 9)
    assert (told.kind, told.generation, told.payload) == (EventKind.COMPLETED, 1, {"degraded": ["search_document"]})


def test_an_ending_whose_answer_was_lost_may_be_repeated_but_not_contradicted(engine: Engine):
    held = claimed(engine)
    complete(engine, held)
    complete(engine, held)
    assert len(events.pending(engine, 9)) == 1
    _refused(ErrorCode.LEASE_LOST, fail, engine, held, WORKER_LOST, final=True)


def test_a_final_failure_tells_code_and_sentence(engine: Engine):
    held = claimed(engine)
    fail(engine, held, PipelineError(ErrorCode.TOO_LONG, "12 h\x00; the limit is 10 h"), final=True)
    (file,) = list_files(engine)
    assert (file.status, file.error_code) == (Status.ERROR, "TOO_LONG")
    assert file.error_text == "The recording is longer than this installation accepts (12 h; the limit is 10 h)."
    assert [told.kind for told in events.pending(engine, 9)] == [EventKind.FAILED]


def test_a_passing_failure_waits_for_the_next_run_and_success_clears_it(engine: Engine):
    fail(engine, claimed(engine), PipelineError(ErrorCode.STORE_UNAVAILABLE), final=False)
    (file,) = list_files(engine)
    assert (file.status, file.error_code) == (Status.QUEUED, "STORE_UNAVAILABLE")
    assert events.pending(engine, 9) == []
    second = take(engine, "run-2")
    assert second.attempts == 2
    complete(engine, second)
    assert list_files(engine)[0].error_code is None


def test_releasing_leaves_the_file_as_it_had_ended(engine: Engine):
    held = claimed(engine)
    release(engine, held)
    assert list_files(engine)[0].status == Status.QUEUED
    complete(engine, take(engine))
    release(engine, take(engine, "run-2"))
    assert list_files(engine)[0].status == Status.COMPLETED
    fail(engine, take(engine, "run-3"), WORKER_LOST, final=True)
    release(engine, take(engine, "run-4"))
    assert list_files(engine)[0].status == Status.ERROR


def test_a_dead_runs_file_is_put_in_error_unless_another_run_has_it(engine: Engine, expire: Callable[[], None]):
    claimed(engine)
    assert not fail_abandoned(engine, MEETING, 1, "run-2", WORKER_LOST)
    assert not fail_abandoned(engine, MEETING, 2, "run-1", WORKER_LOST)
    assert fail_abandoned(engine, MEETING, 1, "run-1", WORKER_LOST)
    assert not fail_abandoned(engine, MEETING, 1, "run-1", WORKER_LOST)
    (file,) = list_files(engine)
    assert (file.status, file.error_code) == (Status.ERROR, "WORKER_LOST")
    assert [told.kind for told in events.pending(engine, 9)] == [EventKind.FAILED]
    complete(engine, take(engine, "run-3"))
    assert not fail_abandoned(engine, MEETING, 1, "run-3", WORKER_LOST)


def test_a_run_that_died_before_it_claimed_is_noticed(engine: Engine):
    register(engine, [upload()], settle_seconds=0)
    assert not fail_abandoned(engine, MEETING, 1, "run-1", WORKER_LOST)  # PENDING: its run is still to come
    mark_queued(engine, next_requests(engine, 9))
    assert fail_abandoned(engine, MEETING, 1, "run-1", WORKER_LOST)
    assert list_files(engine)[0].status == Status.ERROR


def test_what_the_current_transcript_was_made_from_is_known_to_the_next_generation(engine: Engine):
    held = claimed(engine)
    record_sha256(engine, held, "a" * 64)
    transcripts.save(engine, held, transcript(), artifact_key="k", provenance={})
    complete(engine, held)
    register(engine, [upload(etag="touched")], settle_seconds=0)
    again = claim(engine, MEETING, 2, "run-2", lease_seconds=90, holder_finished=nobody_finished)
    assert (again.sha256, again.transcribed_sha256) == (None, "a" * 64)
