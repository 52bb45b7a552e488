"""Adding up a day, on both databases."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from tests.ledger.samples import take, transcript, upload
from tests.operations.daily_report.activity import DAY, Call, End, File, Run, Version, record
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.language_models.port import Call as ModelCall
from transcribe_pipeline.ledger import files, language_model_calls, leases, operations, timings, transcripts
from transcribe_pipeline.ledger.database import connect, write
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.operations.daily_report.collecting import daily_report
from transcribe_pipeline.operations.daily_report.values import Figures, Hour, ModelCost, SlowRun, Spread, StageFigures


def test_a_day_on_which_nothing_happened(engine: Engine):
    report = daily_report(engine, DAY)
    assert report.owners == {}
    assert report.hours == [Hour(received=0, ended=0, audio_hours=0)] * 24
    assert (report.total.received, report.total.ended, report.total.cost_usd) == (0, 0, None)
    assert report.total.queue_wait == Spread()


def test_every_figure_of_a_day(engine: Engine):
    record(
        engine,
        [
            File(
                "ann",
                received=1,
                runs=[
                    Run("upload", 1.5, 10, cpu_seconds=2),
                    Run("transcription", 2, 100, "STORE_UNAVAILABLE"),
                    Run("transcription", 2.1, 300, cpu_seconds=500, gpu_seconds=20),
                ],
                versions=[Version(3, audio_seconds=3600, words=9000, speakers=3)],
                ends=[End(3.5, degraded=("search_document",))],
                calls=[Call(3, cost_usd=0.5), Call(3, tokens_in=None, tokens_out=None, outcome="BAD")],
                operations=[(2, "recovery"), (2.5, "recovery")],
                key="ann-s",
            ),
            File(
                "bob",
                received=5,
                runs=[Run("upload", 5.25, 20)],
                versions=[Version(6, audio_seconds=1800, words=0, speakers=0), Version(7, held_back="less")],
                ends=[End(6), End(7, generation=2), End(8, Status.ERROR, "NO_AUDIO", generation=3)],
                operations=[(6.5, "reprocess")],
                key="bob-s",
            ),
        ],
    )
    report = daily_report(engine, DAY)
    ann, bob = report.owners["ann"], report.owners["bob"]
    assert list(report.owners) == ["ann", "bob"]
    assert ann == Figures(
        received=1,
        completed=0,
        degraded=1,
        failed=0,
        cancelled=0,
        quarantined=0,
        orphaned=0,
        recovered=1,
        requests={"recovery": 2},
        transcripts=1,
        again=0,
        held_back=0,
        no_speech=0,
        audio_hours=1.0,
        words=9000,
        speakers=3,
        languages={"en": 1},
        errors={},
        stage_errors={"STORE_UNAVAILABLE": 1},
        stage_seconds=410,
        cpu_seconds=502,
        gpu_seconds=20,
        models=[
            ModelCost(
                provider="ollama",
                model="qwen3",
                calls=2,
                failures=1,
                tokens_in=1000,
                tokens_out=100,
                seconds=2,
                cost_usd=0.5,
            )
        ],
        stages=[
            StageFigures(
                stage="transcription",
                runs=2,
                failed=1,
                seconds=400,
                cpu_seconds=500,
                gpu_seconds=20,
                spread=Spread(count=1, median=300, p95=300),
                rtf=round(300 / 3600, 4),
            ),
            StageFigures(
                stage="upload",
                runs=1,
                failed=0,
                seconds=10,
                cpu_seconds=2,
                gpu_seconds=0,
                spread=Spread(count=1, median=10, p95=10),
                rtf=round(10 / 3600, 4),
            ),
        ],
        slowest=[
            SlowRun(partition_key="ann-s", stage="transcription", seconds=300, rtf=0.0833),
            SlowRun(partition_key="ann-s", stage="transcription", seconds=100, rtf=0.0278),
            SlowRun(partition_key="ann-s", stage="upload", seconds=10, rtf=0.0028),
        ],
        queue_wait=Spread(count=1, median=1800, p95=1800),
        turnaround=Spread(count=1, median=7200, p95=7200),
    )
    assert (bob.completed, bob.failed, bob.errors, bob.requests) == (2, 1, {"NO_AUDIO": 1}, {"reprocess": 1})
    assert (bob.transcripts, bob.again, bob.held_back, bob.no_speech) == (2, 1, 1, 1)
    assert (bob.languages, bob.turnaround.count, bob.recovered) == ({"en": 1}, 1, 0)
    assert (report.total.queue_wait.count, report.total.queue_wait.median) == (2, 1350)
    assert report.hours[6] == Hour(received=0, ended=1, audio_hours=0.5)
    assert report.hours[1].received == 1
    assert daily_report(engine, DAY, owner="bob").total == bob


def test_a_day_begins_and_ends_at_midnight(engine: Engine):
    second = 1 / 3600
    record(engine, [File("ann", hour, ends=[End(hour)]) for hour in (-second, 0, 24 - second, 24)])
    total = daily_report(engine, DAY).total
    assert (total.received, total.completed) == (2, 2)
    assert daily_report(engine, DAY - timedelta(days=1)).total.received == 1


def test_what_the_ledger_writes_is_what_is_counted(engine: Engine):
    files.register(engine, [upload("a"), upload("b"), upload("c", owner="bob")], settle_seconds=0)
    ends = {"a": None, "b": PipelineError(ErrorCode.NO_AUDIO)}
    for name, error in ends.items():
        claim = take(engine, f"run-{name}", key=upload(name).partition_key)
        moment = datetime.now(UTC)
        timings.record(engine, claim, "upload", started_at=moment, finished_at=moment, cpu_seconds=1.0)
        language_model_calls.record(engine, claim, "summary", _call(moment))
        if error is None:
            transcripts.save(engine, claim, transcript(), artifact_key="x", provenance={})
            leases.complete(engine, claim)
        else:
            leases.fail(engine, claim, error, final=True)
    cancelled = take(engine, "run-c", key=upload("c", owner="bob").partition_key)
    leases.fail(engine, cancelled, PipelineError(ErrorCode.CANCELLED), final=True)
    write(
        engine,
        lambda connection: operations.note(
            connection,
            operations.Operation.RECOVERY,
            cause="run lost",
            action="requested",
            actor="t",
            media_file_id=cancelled.media_file_id,
        ),
    )
    today = files.get(engine, upload("a").partition_key).registered_at.date()
    _all_at_noon(engine, today.isoformat())
    report = daily_report(engine, today)
    ann, bob = report.owners["ann"], report.owners["bob"]
    assert (ann.received, ann.completed, ann.failed, ann.errors) == (2, 1, 1, {"NO_AUDIO": 1})
    assert (ann.transcripts, ann.words, ann.speakers, ann.cpu_seconds) == (1, 30, 2, 2.0)
    assert (ann.queue_wait.count, ann.turnaround.count) == (2, 1)
    assert (ann.tokens_in, ann.tokens_out, ann.cost_usd) == (2000, 20, None)
    assert (bob.received, bob.cancelled, bob.recovered, bob.requests) == (1, 1, 1, {"recovery": 1})
    assert (report.hours[12].received, report.hours[12].ended) == (3, 3)


def _call(moment: datetime) -> ModelCall:
    return ModelCall("summary", "ollama", "qwen3", moment, 1.0, "answered", 0, 1500, 1000, 10, None)


def _all_at_noon(engine: Engine, day: str) -> None:
    """Midnight may have passed since the first of them."""
    columns = {
        "media_file": ("registered_at",),
        "transcript": ("created_at",),
        "outbox_event": ("created_at",),
        "operation": ("at",),
        "stage_timing": ("started_at", "finished_at"),
        "language_model_call": ("started_at",),
    }
    with engine.begin() as connection:
        for table, names in columns.items():
            for name in names:
                zone = "+00" if engine.dialect.name == "postgresql" else ".000000"
                connection.execute(text(f"UPDATE {table} SET {name} = '{day} 12:00:00{zone}'"))


def test_what_failed_and_was_quarantined_later_is_both_on_its_days(engine: Engine):
    failed = End(3, Status.ERROR, "OUT_OF_MEMORY")
    at_once = End(4, Status.QUARANTINED, "OUT_OF_MEMORY")
    record(
        engine,
        [
            File("ann", 1, ends=[failed], operations=[(27, "quarantine")]),
            File("bob", 1, ends=[at_once], operations=[(4, "quarantine")]),
        ],
    )
    first, second = (daily_report(engine, DAY + timedelta(days=number)).total for number in (0, 1))
    assert (first.failed, first.quarantined, first.errors) == (1, 1, {"OUT_OF_MEMORY": 2})
    assert (second.failed, second.quarantined, second.errors, second.ended) == (0, 1, {}, 1)


def test_a_day_stays_what_it_was_whatever_comes_later(engine: Engine):
    record(
        engine,
        [
            File(
                "ann",
                1,
                runs=[Run("upload", 2, 5)],
                versions=[Version(3)],
                ends=[End(3), End(30, Status.ERROR, "NO_AUDIO", generation=2)],
                key="it",
            )
        ],
    )
    before = daily_report(engine, DAY)
    # New content, another transcript, a cancel: all of it today.
    files.register(engine, [upload("it")], settle_seconds=0)
    claim = take(engine, "later", key="it")
    transcripts.save(engine, claim, transcript(), artifact_key="x", provenance={})
    leases.fail(engine, claim, PipelineError(ErrorCode.CANCELLED), final=True)
    assert daily_report(engine, DAY) == before
    assert before.total.completed == 1


# --- for any days ---------------------------------------------------------------------------------------------------

_HOURS = st.floats(-20, 45).map(lambda hours: round(hours, 3))
_CODES = st.sampled_from(["NO_AUDIO", "INTERNAL", "WORKER_LOST"])
_ENDS = st.one_of(
    st.builds(End, at=_HOURS, degraded=st.sampled_from([(), ("summary",)])),
    st.builds(
        End,
        at=_HOURS,
        status=st.sampled_from(
            [Status.ERROR, Status.CANCELLED, Status.ORPHANED, Status.QUARANTINED],
        ),
        error_code=_CODES,
    ),
)
_FILES = st.lists(
    st.builds(
        File,
        owner=st.sampled_from(["ann", "bob", "=cmd|'/c'!A1"]),
        received=_HOURS,
        runs=st.lists(
            st.builds(
                Run,
                stage=st.sampled_from(["upload", "transcription", "diarization"]),
                begin=_HOURS,
                seconds=st.floats(0, 9000).map(lambda seconds: round(seconds, 3)),
                error_code=st.one_of(st.none(), _CODES),
                cpu_seconds=st.one_of(st.none(), st.just(1.5)),
                gpu_seconds=st.one_of(st.none(), st.just(0.25)),
            ),
            max_size=4,
        ),
        versions=st.lists(
            st.builds(
                Version,
                made=_HOURS,
                audio_seconds=st.integers(0, 36_000).map(float),
                words=st.integers(0, 99),
                language=st.sampled_from(["en", "de"]),
                held_back=st.sampled_from([None, "less"]),
            ),
            max_size=2,
        ),
        ends=st.lists(_ENDS, max_size=1),
        calls=st.lists(
            st.builds(
                Call,
                begun=_HOURS,
                model=st.sampled_from(["a", "b"]),
                tokens_in=st.one_of(st.none(), st.integers(0, 9)),
                cost_usd=st.one_of(st.none(), st.just(0.25)),
            ),
            max_size=2,
        ),
        operations=st.lists(st.tuples(_HOURS, st.sampled_from(["recovery", "redrive"])), max_size=2),
    ),
    max_size=8,
)
_ADDED = (
    *("received", "ended", "completed", "degraded", "failed", "cancelled", "quarantined", "orphaned", "recovered"),
    *("transcripts", "again", "held_back", "no_speech", "audio_hours", "words", "speakers"),
    *("stage_seconds", "cpu_seconds", "gpu_seconds", "tokens_in", "tokens_out"),
)
_COUNTED = ("requests", "languages", "errors", "stage_errors")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recorded=_FILES)
def test_owners_add_up_to_the_whole_and_days_to_everything(sqlite_template: Path, tmp_path: Path, recorded: list[File]):
    engine = connect(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'ledger.db')}")
    try:
        record(engine, recorded)
        days = [daily_report(engine, DAY + timedelta(days=number)) for number in (-1, 0, 1)]
        for report in days:
            owners = list(report.owners.values())
            for name in _ADDED:
                whole, parts = getattr(report.total, name), sum(getattr(each, name) for each in owners)
                assert abs(whole - parts) < 1e-3 * (len(owners) + 1), name
            for name in _COUNTED:
                assert getattr(report.total, name) == _sum_of_counts(owners, name)
            assert sum(hour.received for hour in report.hours) == report.total.received
            assert sum(hour.ended for hour in report.hours) == report.total.ended
            for owner, figures in report.owners.items():
                alone = daily_report(engine, report.day, owner=owner)
                assert alone.total == figures
                assert alone.owners == {owner: figures}
        assert sum(report.total.received for report in days) == len(recorded)
        assert sum(report.total.ended for report in days) == sum(len(file.ends) for file in recorded)
        assert sum(report.total.transcripts for report in days) == sum(len(file.versions) for file in recorded)
        runs = [run for file in recorded for run in file.runs]
        assert sum(stage.runs for report in days for stage in report.total.stages) == len(runs)
        assert sum(report.total.queue_wait.count for report in days) == sum(bool(file.runs) for file in recorded)
    finally:
        engine.dispose()


def _sum_of_counts(owners: list[Figures], name: str) -> dict[str, int]:
    summed: dict[str, int] = {}
    for figures in owners:
        counts: dict[str, Any] = getattr(figures, name)
        for key, number in counts.items():
            summed[key] = summed.get(key, 0) + number
    return summed
