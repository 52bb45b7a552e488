"""The ledger's figures of health, on both databases, over rows whose truth is known."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text, update

from tests.ledger.samples import NOON, claimed, take, transcript, upload
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import health, leases, timings, transcripts
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.ledger.health import Figures, Speed
from transcribe_pipeline.ledger.models import MediaFile, Outcome, StageTiming, Status
from transcribe_pipeline.ledger.states import State

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def look(engine: Engine, now: datetime | None = None) -> Figures:
    return health.figures(engine, now or datetime.now(UTC), lease_seconds=90, retention_failed_days=30)


def completed(
    engine: Engine, name: str, *, at: datetime | None = None, sentences: int = 3, degraded: tuple[str, ...] = ()
) -> leases.Claim:
    """A transcribed file, five seconds of audio a sentence; `at`: when it was done."""
    listed = upload(name)
    register(engine, [listed], settle_seconds=0)
    claim = take(engine, f"run of {name}", key=listed.partition_key)
    transcripts.save(engine, claim, transcript(sentences), artifact_key="x", provenance={})
    leases.complete(engine, claim, degraded=degraded)
    if at:
        change(engine, claim, finished_at=at, started_at=at - timedelta(minutes=10))
    return claim


def failed(engine: Engine, name: str, code: ErrorCode, *, max_tries: int = 3) -> leases.Claim:
    listed = upload(name)
    register(engine, [listed], settle_seconds=0)
    claim = take(engine, f"run of {name}", key=listed.partition_key)
    leases.fail(engine, claim, PipelineError(code), final=True, max_tries=max_tries)
    return claim


def change(engine: Engine, claim: leases.Claim, **values: Any) -> None:
    with engine.begin() as connection:
        connection.execute(update(MediaFile).where(MediaFile.id == claim.media_file_id).values(**values))


def timed(
    engine: Engine,
    claim: leases.Claim,
    stage: str,
    seconds: float,
    at: datetime,
    *,
    run_id: str = "",
    error_code: ErrorCode | None = None,
) -> None:
    timings.record(
        engine,
        replace(claim, run_id=run_id or claim.run_id),
        stage,
        started_at=at - timedelta(seconds=seconds),
        finished_at=at,
        cpu_seconds=2 * seconds,
        error_code=error_code,
    )


def test_an_empty_ledger_has_figures_too(engine: Engine) -> None:
    figures = look(engine)
    assert figures.states == figures.at_stages == figures.owners == figures.ended_day == figures.speeds == []
    assert (figures.lost, figures.done_day.files, figures.degraded) == ({}, 0, {})
    assert figures.database.kind == engine.dialect.name
    assert figures.database.size_bytes > 0
    assert 0 < figures.database.latency_seconds < 10


def test_files_are_counted_by_what_people_see(engine: Engine) -> None:
    completed(engine, "a.mp3")
    completed(engine, "b.mp3", degraded=("summary", "chapters"))
    completed(engine, "c.mp3", degraded=("summary",))
    failed(engine, "d.mp3", ErrorCode.NOT_MEDIA)
    failed(engine, "e.mp3", ErrorCode.STORE_UNAVAILABLE)
    register(engine, [upload("f.mp3")], settle_seconds=0)
    figures = look(engine)
    counts = {count.state: count.files for count in figures.states}
    assert counts == {State.PENDING: 1, State.COMPLETED: 1, State.DEGRADED: 2, State.ERROR: 2}
    assert figures.degraded == {"summary": 2, "chapters": 1}
    assert figures.passing == 1
    assert sum(count.bytes for count in figures.states) == 6 * 1000


def test_unfinished_files_are_counted_at_the_stage_they_wait_for_or_are_at(engine: Engine) -> None:
    register(engine, [upload(name, owner="bob") for name in ("a.mp3", "b.mp3")], settle_seconds=0)
    register(engine, [upload("settling.mp3", owner="bob", modified_at=datetime.now(UTC))], settle_seconds=3600)
    resumed = upload("c.mp3")
    register(engine, [resumed], settle_seconds=0)
    claim = claimed(engine)
    leases.heartbeat(engine, claim, progress=0.2, stage="diarization")
    with engine.begin() as connection:
        is_resumed = MediaFile.partition_key == resumed.partition_key
        values = {"status": Status.QUEUED, "resume_from": "summary", "status_since": NOON}
        connection.execute(update(MediaFile).where(is_resumed).values(**values))
    figures = look(engine)
    at = {(each.stage, each.status): each.files for each in figures.at_stages}
    assert at == {
        (None, Status.PENDING): 3,
        ("summary", Status.QUEUED): 1,
        ("diarization", Status.PROCESSING): 1,
    }
    assert next(each.oldest for each in figures.at_stages if each.stage == "summary") == NOON
    assert figures.settling == 1
    assert [(owner.owner, owner.files) for owner in figures.owners] == [("bob", 3), ("ann", 1)]


def test_only_a_lease_that_ran_out_a_while_ago_is_lost(engine: Engine, scalar: Callable[[str], Any]) -> None:
    leases.heartbeat(engine, claimed(engine), stage="diarization")
    assert look(engine).lost == {}
    with engine.begin() as connection:
        connection.execute(text("UPDATE media_file SET lease_until = lease_until - 100"))  # over, but not for 90 s
    assert look(engine).lost == {}
    with engine.begin() as connection:
        connection.execute(text("UPDATE media_file SET lease_until = lease_until - 100"))
    assert look(engine).lost == {"diarization": 1}


def test_what_ended_is_counted_by_window_and_error(engine: Engine) -> None:
    now = datetime.now(UTC)
    completed(engine, "now.mp3", at=now - timedelta(minutes=5))
    earlier = completed(engine, "earlier.mp3", at=now - 5 * HOUR)
    change(engine, earlier, attempts=3)
    completed(engine, "yesterday.mp3", at=now - 25 * HOUR)
    failed(engine, "gone.mp3", ErrorCode.SOURCE_GONE)
    failed(engine, "denied.mp3", ErrorCode.STORE_DENIED, max_tries=0)
    figures = look(engine, datetime.now(UTC))
    hour = {(each.state, each.error_code): each.files for each in figures.ended_hour}
    assert hour == {
        (State.COMPLETED, None): 1,
        (State.ORPHANED, "SOURCE_GONE"): 1,
        (State.QUARANTINED, "STORE_DENIED"): 1,
    }
    (done,) = [each for each in figures.ended_day if each.state is State.COMPLETED]
    assert (done.files, done.retried, done.retries) == (2, 1, 2)
    assert done.seconds == pytest.approx(1200, abs=0.01)
    assert (figures.done_hour.files, figures.done_day.files, figures.done_history.files) == (1, 2, 3)
    assert figures.done_day.audio_seconds == 2 * 15
    assert figures.done_day.bytes == 2 * 1000
    assert figures.audio_by_hour == {0: 15.0, 5: 15.0}


def test_stages_are_counted_with_errors_and_repeats(engine: Engine) -> None:
    now = datetime.now(UTC)
    claim = completed(engine, "a.mp3")
    timed(engine, claim, "transcription", 6, now - 2 * HOUR, error_code=ErrorCode.OUT_OF_MEMORY)
    timed(engine, claim, "transcription", 9, now - timedelta(minutes=1), run_id="again")
    timed(engine, claim, "diarization", 3, now - 30 * HOUR)
    figures = look(engine, now)
    (hour,) = figures.work_hour
    assert (hour.stage, hour.outcome, hour.runs, hour.seconds) == ("transcription", Outcome.SUCCEEDED, 1, 9)
    day = {(each.stage, each.error_code): (each.runs, each.seconds, each.cpu_seconds) for each in figures.work_day}
    assert day == {("transcription", "OUT_OF_MEMORY"): (1, 6, 12), ("transcription", None): (1, 9, 18)}
    assert figures.repeated_day == {"transcription": 1}


def test_the_speed_of_the_last_day_stands_beside_that_of_the_month_before(engine: Engine) -> None:
    now = datetime.now(UTC)
    runs = [
        *[(1 * HOUR, 30.0), (2 * HOUR, 60.0), (3 * HOUR, 300.0)],  # 15 s of audio each: RTF 2, 4, 20
        *[(5 * DAY, 15.0), (20 * DAY, 45.0)],  # RTF 1, 3; of an even number the lower middle
        (40 * DAY, 900.0),  # too long ago
    ]
    for number, (age, seconds) in enumerate(runs):
        at = now - age
        timed(engine, completed(engine, f"{number}.mp3", at=at), "transcription", seconds, at)
    recent = Speed("transcription", True, 3, 390.0, 45.0, 4.0)
    history = Speed("transcription", False, 2, 60.0, 30.0, 1.0)
    assert look(engine, now).speeds == [history, recent]


def test_failed_runs_tell_nothing_about_speed(engine: Engine) -> None:
    now = datetime.now(UTC)
    claim = completed(engine, "a.mp3", at=now - HOUR)
    timed(engine, claim, "transcription", 1, now - HOUR, error_code=ErrorCode.INTERNAL)
    assert look(engine, now).speeds == []


def test_retention_counts_old_failures_that_nobody_holds(engine: Engine) -> None:
    old = datetime.now(UTC) - 31 * DAY
    change(engine, failed(engine, "old.mp3", ErrorCode.NOT_MEDIA), finished_at=old)
    change(engine, failed(engine, "held.mp3", ErrorCode.NOT_MEDIA), finished_at=old, legal_hold="a lawsuit")
    failed(engine, "new.mp3", ErrorCode.NOT_MEDIA)
    completed(engine, "good.mp3", at=old)
    figures = look(engine)
    assert (figures.past_retention, figures.held) == (1, 1)
    forever = health.figures(engine, datetime.now(UTC), lease_seconds=90, retention_failed_days=0)
    assert forever.past_retention == 0


def test_windows_are_served_by_indices(engine: Engine) -> None:
    """A table scan per statement would make the report slower with every month that is kept."""
    now = datetime.now(UTC)
    claim = completed(engine, "a.mp3")
    with engine.begin() as connection:
        rows = [
            {
                "run_id": f"run {number}",
                "media_file_id": claim.media_file_id,
                "stage": "upload",
                "generation": 1,
                "started_at": now - timedelta(days=number),
                "finished_at": now - timedelta(days=number),
                "seconds": 1.0,
                "outcome": Outcome.SUCCEEDED,
            }
            for number in range(3000)
        ]
        connection.execute(insert(StageTiming), rows)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("ANALYZE"))
        explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
        plan = connection.execute(
            text(f"{explain} SELECT stage, count(*) FROM stage_timing WHERE finished_at >= :since GROUP BY stage"),
            {"since": (now - DAY).isoformat(sep=" ")},
        ).all()
    assert any("ix_stage_timing_finished_at" in str(row) for row in plan)
