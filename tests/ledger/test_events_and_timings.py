"""The outbox and the stage timings."""

from sqlalchemy import Engine

from tests.ledger.samples import NOON, claimed, seconds, take, upload
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import events, timings
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.ledger.leases import complete, fail
from transcribe_pipeline.ledger.models import EventKind, Outcome


def test_an_outcome_is_told_once_a_generation(engine: Engine):
    complete(engine, claimed(engine))
    complete(engine, take(engine, "run-2"))  # an admin ran a stage again: not news
    (told,) = events.pending(engine, 9)
    events.mark_delivered(engine, [told.id])
    assert events.pending(engine, 9) == []
    register(engine, [upload(etag="e2")], settle_seconds=0)
    complete(engine, take(engine, "run-3"))
    assert [(told.kind, told.generation) for told in events.pending(engine, 9)] == [(EventKind.COMPLETED, 2)]


def test_events_wait_in_order(engine: Engine):
    for name in "abc":
        register(engine, [upload(name)], settle_seconds=0)
        fail(engine, take(engine, key=upload(name).partition_key), PipelineError(ErrorCode.NO_AUDIO), final=True)
    waiting = events.pending(engine, 9)
    assert [told.id for told in waiting] == sorted(told.id for told in waiting)
    assert events.pending(engine, 2) == waiting[:2]
    events.mark_delivered(engine, [waiting[0].id])
    assert events.pending(engine, 9) == waiting[1:]


def test_a_stage_repeated_in_its_run_replaces_its_timing(engine: Engine):
    claim = claimed(engine)
    failed = {"started_at": NOON, "finished_at": NOON + seconds(1), "error_code": ErrorCode.STORE_UNAVAILABLE}
    timings.record(engine, claim, "audio", **failed)
    timings.record(engine, claim, "audio", started_at=NOON + seconds(5), finished_at=NOON + seconds(7.5))
    timings.record(engine, claim, "upload", started_at=NOON, finished_at=NOON + seconds(5))
    upload_stage, audio = timings.of_file(engine, claim.media_file_id)
    assert (upload_stage.stage, audio.stage) == ("upload", "audio")
    assert (audio.seconds, audio.outcome, audio.error_code, audio.started_at) == (
        2.5,
        Outcome.SUCCEEDED,
        None,
        NOON + seconds(5),
    )


def test_what_a_stage_used_is_kept(engine: Engine):
    claim = claimed(engine)
    times = {"started_at": NOON, "finished_at": NOON + seconds(2)}
    timings.record(engine, claim, "transcription", **times, cpu_seconds=3.5, gpu_seconds=1.25)
    timings.record(engine, claim, "upload", **times)
    used = {each.stage: (each.cpu_seconds, each.gpu_seconds) for each in timings.of_file(engine, claim.media_file_id)}
    assert used == {"transcription": (3.5, 1.25), "upload": (None, None)}
    timings.record(engine, claim, "transcription", **times, cpu_seconds=4.0)  # again, on a machine without GPU
    (again,) = (each for each in timings.of_file(engine, claim.media_file_id) if each.stage == "transcription")
    assert (again.cpu_seconds, again.gpu_seconds) == (4.0, None)


def test_runs_keep_their_own_timings(engine: Engine):
    claim = claimed(engine)
    failed = {"started_at": NOON, "finished_at": NOON + seconds(1), "error_code": ErrorCode.STORE_UNAVAILABLE}
    timings.record(engine, claim, "audio", **failed)
    fail(engine, claim, PipelineError(ErrorCode.STORE_UNAVAILABLE), final=False)
    timings.record(engine, take(engine, "run-2"), "audio", started_at=NOON + seconds(9), finished_at=NOON + seconds(9))
    recorded = timings.of_file(engine, claim.media_file_id)
    assert [(each.run_id, each.outcome, each.error_code) for each in recorded] == [
        ("run-1", Outcome.FAILED, "STORE_UNAVAILABLE"),
        ("run-2", Outcome.SUCCEEDED, None),
    ]
