"""Health reports of real installations: what is wrong is found, said and costs points; what is dead costs no time."""

import json
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._daemon.types import DaemonHeartbeat
from sqlalchemy import text

from tests.ledger.samples import take, transcript
from tests.world import World, embedded_world
from transcribe_pipeline.assets import speech
from transcribe_pipeline.assets.operations import health as assets
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import intake, leases, operations, transcripts
from transcribe_pipeline.ledger.health import Speed
from transcribe_pipeline.ledger.operations import Operation
from transcribe_pipeline.operations import health
from transcribe_pipeline.operations.health import counters, markdown, orchestration, prometheus, trends
from transcribe_pipeline.operations.health.collecting import OpenInstance
from transcribe_pipeline.operations.health.forecast import Capacity, forecast
from transcribe_pipeline.operations.health.looking import Looks
from transcribe_pipeline.operations.health.report import HealthReport, Service, Verdict
from transcribe_pipeline.operations.recovery import Action, Cause
from transcribe_pipeline.settings import settings

ROOT = Path(__file__).parents[2]
PATIENT = 20.0
"""Seconds for services that do answer, on a machine that is busy."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path / "home", monkeypatch, search_model="none") as made:
        yield made


@pytest.fixture(scope="module")
def dagster_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a real instance, with the configuration that people get; making its tables takes a second."""
    home = tmp_path_factory.mktemp("dagster")
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(home)) as made:
        made.get_runs_count()
    return home


@pytest.fixture
def instance(tmp_path: Path, dagster_template: Path) -> Iterator[dg.DagsterInstance]:
    home = shutil.copytree(dagster_template, tmp_path / "dagster")
    with dg.DagsterInstance.from_config(str(home)) as made:
        beat(made)
        yield made


def beat(instance: dg.DagsterInstance, *, age: float = 0.0, without: str = "") -> None:
    """A sign of life of every daemon."""
    for name in instance.get_required_daemon_types():
        if name != without:
            instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - age, name, None, None))


def look(world: World, instance: dg.DagsterInstance | None = None, **settings_of: Any) -> HealthReport:
    configured = settings().model_copy(update=settings_of)
    return health.collect(world.ledger, opening(instance), configured, look_seconds=PATIENT)


def opening(instance: dg.DagsterInstance | None) -> OpenInstance | None:
    return instance and (lambda: nullcontext(instance))


def completed(world: World, name: str = "ann/a.wav") -> str:
    key = world.add(name)
    claim = take(world.ledger, f"run of {name}", key=key)
    transcripts.save(world.ledger, claim, transcript(), artifact_key="x", provenance={})
    leases.complete(world.ledger, claim)
    return key


def failed(world: World, name: str, code: ErrorCode) -> None:
    claim = take(world.ledger, f"run of {name}", key=world.add(name))
    leases.fail(world.ledger, claim, PipelineError(code), final=True, max_tries=0)


def advice(report: HealthReport) -> str:
    return "\n".join(f"{reason.points} {reason.sentence} {reason.advice}" for reason in report.reasons)


# --- verdicts -------------------------------------------------------------------------------------------------------


def test_a_new_installation_is_empty_and_nothing_is_wrong(world: World, instance: dg.DagsterInstance) -> None:
    report = look(world, instance)
    assert (report.verdict, report.score, report.reasons) == (Verdict.EMPTY, 100, [])
    assert {service.name: service.status for service in report.services}["store"] == "ok"
    assert "Nothing is wrong." in markdown.document(report)


def test_a_healthy_installation_has_every_point(world: World, instance: dg.DagsterInstance) -> None:
    completed(world)
    world.add("bob/waits.wav")
    report = look(world, instance)
    assert (report.verdict, report.score) == (Verdict.HEALTHY, 100), advice(report)
    assert (report.files.total, report.last_hour.completed, report.backlog.in_backlog) == (2, 1, 1)
    assert report.last_day.audio_hours == pytest.approx(15 / 3600, abs=1e-4)
    assert report.stages[0].waiting == 1


@pytest.mark.parametrize(("dead", "is_poor"), [("store", True), ("search", False)])
def test_a_service_that_refuses_is_named_with_its_remedy(
    world: World, monkeypatch: pytest.MonkeyPatch, dead: str, is_poor: bool
) -> None:
    completed(world)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{_closed_port()}")
    changed = {"store": {"store_url": "s3://bucket/x"}, "search": {"search_url": f"http://127.0.0.1:{_closed_port()}"}}
    report = look(world, None, **changed[dead])
    (service,) = [each for each in report.services if each.status == "failed"]
    assert service.name == dead
    assert (report.verdict is Verdict.POOR) is is_poor
    assert service.remedy in advice(report)


def _closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_services_that_hang_cost_the_same_second_together(world: World) -> None:
    """Sockets that take connections and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        configured = settings().model_copy(
            update={"search_url": f"http://127.0.0.1:{port}", "llm": "compatible/m, vllm/m",
                    "llm_compatible_url": f"http://127.0.0.1:{port}/v1", "llm_vllm_url": f"http://127.0.0.1:{port}/v1"}
        )  # fmt: skip
        health.collect(world.ledger, None, configured, look_seconds=0.0)  # libraries are loaded
        started = time.monotonic()
        report = health.collect(world.ledger, None, configured, look_seconds=0.5)
        waited = time.monotonic() - started
    hanging = {service.name for service in report.services if service.status == "silent"}
    assert hanging >= {"search", "language model compatible/m", "language model vllm/m"}
    assert waited < 10  # one after another with their own patience they take more than a minute
    assert "does not answer within" in advice(report)


def test_a_look_that_breaks_hides_no_other() -> None:
    def broken() -> Service:
        raise ZeroDivisionError

    found = Looks({"a": broken, "b": lambda: Service(name="", status="ok", facts="fine")}).findings(5)
    assert [(service.name, service.status) for service in found] == [("a", "failed"), ("b", "ok")]
    assert "ZeroDivisionError" in found[0].facts


def test_a_paused_intake_is_said_with_its_cause(world: World) -> None:
    completed(world)
    intake.pause(world.ledger, "the store is being moved", "cli:ann")
    report = look(world)
    assert report.pause is not None
    assert report.pause.by == "cli:ann"
    assert "transcribe intake resume" in advice(report)


def test_stuck_and_quarantined_files_cost_points(world: World) -> None:
    completed(world)
    failed(world, "ann/bad.wav", ErrorCode.STORE_UNAVAILABLE)
    take(world.ledger, "run of c", key=world.add("ann/c.wav"))
    with world.ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET lease_until = lease_until - 1000 WHERE status = 'processing'"))
    report = look(world)
    assert (report.files.stuck, report.files.by_state["quarantined"], report.backlog.at_work) == (1, 1, 0)
    assert report.last_hour.errors == {"STORE_UNAVAILABLE": 1}
    assert report.verdict is Verdict.FAIR
    assert "Stuck, since their runs give no sign of life: 1 file." in advice(report)
    assert "Quarantined, since every try failed: 1 file." in advice(report)


def test_many_errors_make_it_poor_and_name_the_code(world: World) -> None:
    for number in range(6):
        failed(world, f"ann/{number}.wav", ErrorCode.NOT_MEDIA)
    report = look(world)
    assert report.last_day.error_rate == 1.0
    assert report.verdict is Verdict.POOR
    assert "100% of the last day's files failed, most of them (6) with NOT_MEDIA." in advice(report)


def test_points_are_what_the_score_lacks(world: World) -> None:
    for number in range(6):
        failed(world, f"ann/{number}.wav", ErrorCode.STORE_DENIED)
    report = look(world)
    assert report.score == max(0, 100 - sum(reason.points for reason in report.reasons))
    assert [reason.points for reason in report.reasons] == sorted((r.points for r in report.reasons), reverse=True)


def test_a_standstill_is_told_but_not_a_long_recording(world: World) -> None:
    world.add("ann/waits.wav")
    with world.ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET status_since = '2026-01-01 00:00:00'"))
    assert "Standstill: 1 file waiting" in advice(look(world))
    take(world.ledger, "run of ten hours", key=world.add("ann/ten hours.wav"))
    assert look(world).reasons == []


# --- Dagster --------------------------------------------------------------------------------------------------------


def test_a_silent_daemon_makes_it_poor(world: World, instance: dg.DagsterInstance) -> None:
    completed(world)
    beat(instance, age=3600)
    beat(instance, without="SCHEDULER")
    report = look(world, instance)
    assert report.dagster is not None
    (silent,) = [daemon for daemon in report.dagster.daemons if not daemon.healthy]
    assert silent.name == "SCHEDULER"
    assert silent.seconds_since_heartbeat == pytest.approx(3600, abs=60)
    assert report.verdict is Verdict.POOR
    assert "SCHEDULER" in advice(report)


OWNER, FILE = "transcribe/owner", "dagster/partition"
ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("code"), "repository"), "recognise")


@dg.op(pool="speech")
def listen() -> None: ...


@dg.job
def recognise() -> None:
    listen()


def test_a_storage_of_dagster_that_does_not_answer_is_told(
    world: World, tmp_path: Path, dagster_template: Path
) -> None:
    completed(world)
    home = shutil.copytree(dagster_template, tmp_path / "broken")
    (home / "history/runs.db").write_bytes(b"this was a database" * 1000)
    report = health.collect(
        world.ledger, lambda: dg.DagsterInstance.from_config(str(home)), settings(), look_seconds=PATIENT
    )
    assert report.dagster is None
    assert report.verdict is Verdict.POOR
    assert "Dagster: its storage cannot be asked (DatabaseError)." in advice(report)


def queued(instance: dg.DagsterInstance, **tags: str) -> dg.DagsterRun:
    status = dg.DagsterRunStatus.QUEUED
    return instance.create_run_for_job(recognise, status=status, tags=tags, remote_job_origin=ORIGIN)


def started(instance: dg.DagsterInstance, **tags: str) -> dg.DagsterRun:
    return instance.create_run_for_job(recognise, status=dg.DagsterRunStatus.STARTED, tags=tags)


def test_the_queue_tells_what_its_first_run_waits_for(instance: dg.DagsterInstance) -> None:
    first = queued(instance, **{OWNER: "ann", FILE: "a"})
    queued(instance)

    def waits_for() -> str:
        dagster = orchestration.look(instance, datetime.now(UTC), {})
        assert (dagster.oldest_queued_run, dagster.queued_runs) == (first.run_id, 2)
        return dagster.oldest_waits_for

    assert waits_for() == "its turn"
    other = started(instance, **{FILE: "a"})
    assert waits_for() == "another run of the same file"
    others = [started(instance, **{FILE: name}) for name in ("b", "c")]
    instance.report_run_failed(other)
    assert waits_for() == "a place among the runs of files"
    others += [started(instance) for _ in range(2)]
    assert waits_for() == "a place among the runs: 4 of 4 are taken"
    beat(instance, age=3600)
    assert "no sign of life" in waits_for()
    beat(instance)
    for run in others:
        instance.report_run_failed(run)
    instance.event_log_storage.initialize_concurrency_limit_to_default("speech")
    instance.event_log_storage.claim_concurrency_slot("speech", other.run_id, "listen")
    assert waits_for() == "its turn, or a place in the pool 'speech'"


def test_a_run_waits_for_its_owners_other_runs(tmp_path: Path) -> None:
    configured = (ROOT / "dagster.yaml").read_text().replace("max_concurrent_runs: 4", "max_concurrent_runs: 20")
    (tmp_path / "dagster.yaml").write_text(configured)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        beat(instance)
        for _ in range(5):
            started(instance, **{OWNER: "ann"})
        queued(instance, **{OWNER: "ann"})
        dagster = orchestration.look(instance, datetime.now(UTC), {})
    assert dagster.oldest_waits_for == "the owner's other runs: 5 of them are at work"
    assert (dagster.running_runs, dagster.most_runs) == (5, 2)


def test_a_place_held_by_a_run_that_does_not_run_is_seen(world: World, instance: dg.DagsterInstance) -> None:
    completed(world)
    dead, alive = started(instance), started(instance)
    instance.event_log_storage.set_concurrency_slots("speech", 2)
    for run in (dead, alive):
        instance.event_log_storage.claim_concurrency_slot("speech", run.run_id, "listen")
    instance.report_run_failed(dead)
    report = look(world, instance)
    assert report.dagster is not None
    assert report.dagster.idle_slot_holders == [dead.run_id]
    assert "Places in a pool" in advice(report)


def test_an_operation_that_was_not_made_for_long_is_overdue(world: World, instance: dg.DagsterInstance) -> None:
    completed(world)
    for name in ("health_report", "retention"):
        instance.report_runless_asset_event(dg.AssetMaterialization(name))
    later = datetime.now(UTC) + timedelta(hours=5)
    report = health.collect(world.ledger, opening(instance), settings(), now=later, look_seconds=PATIENT)
    assert report.dagster is not None
    made = {operation.name: operation for operation in report.dagster.operations}
    assert made["health_report"].is_overdue
    assert not made["retention"].is_overdue  # a weekly one
    assert made["daily_report"].last_success is None
    assert not made["daily_report"].is_overdue
    assert "Not made for too long: health_report." in advice(report)


# --- forecast -------------------------------------------------------------------------------------------------------


def speed(stage: str, factor: float, *, is_recent: bool = True, runs: int = 10) -> Speed:
    return Speed(stage, is_recent, runs, 1000 * factor, 1000.0, factor)


def test_the_forecast_is_the_work_shared_by_the_runs() -> None:
    told = forecast(10, 3600.0, [speed("audio", 0.1), speed("summary", 0.3)], Capacity(runs=2, speech_places=1))
    assert told.seconds == (3600 * 0.4 + 10 * 3) / 2
    assert told.work_per_audio_second == 0.4


def test_the_pool_is_the_bottleneck_where_it_is_the_narrower() -> None:
    told = forecast(10, 3600.0, [speed("transcription", 0.3), speed("audio", 0.1)], Capacity(runs=20, speech_places=1))
    assert told.seconds == 3600 * 0.3
    assert "1 in the speech pool" in told.sentence


def test_the_last_day_counts_once_it_has_seen_enough() -> None:
    speeds = [speed("audio", 0.1, is_recent=False), speed("audio", 0.5, runs=2)]
    assert forecast(1, 1.0, speeds, Capacity(1, None)).work_per_audio_second == 0.1
    speeds = [speed("audio", 0.1, is_recent=False), speed("audio", 0.5, runs=5)]
    assert forecast(1, 1.0, speeds, Capacity(1, None)).work_per_audio_second == 0.5


def test_without_history_there_is_no_forecast_and_without_files_none_is_needed() -> None:
    assert forecast(3, None, [], Capacity(1, 1)).seconds is None
    assert forecast(0, None, [], Capacity(1, 1)).seconds == 0.0


def test_the_pooled_stages_are_those_of_the_pool() -> None:
    pooled = {
        asset.key.to_user_string()
        for asset in vars(speech).values()
        if isinstance(asset, dg.AssetsDefinition) and asset.op.pool == orchestration.SPEECH_POOL
    }
    assert pooled == orchestration.SPEECH_STAGES


PERIODIC = {
    *("stuck_tasks_found", "stuck_tasks_recovered", "inconsistent_files_found", "inconsistent_files_fixed"),
    *("stuck_files_without_celery_found", "stuck_files_without_celery_recovered"),
    *("stuck_downloading_found", "stuck_downloading_recovered", "oom_files_found", "oom_files_retried"),
    *("oom_files_exhausted", "retriable_errors_found", "retriable_errors_retried"),
    *("stuck_pending_downloads_found", "stuck_pending_downloads_marked_error"),
    *("stuck_llm_tasks_found", "stuck_llm_tasks_marked_failed"),
    *("false_positive_tasks_found", "false_positive_tasks_reset", "incomplete_post_transcription_found"),
    *("post_transcription_tasks_dispatched", "opensearch_indices_repaired"),
}


# --- showing it -----------------------------------------------------------------------------------------------------


def test_every_figure_of_opentranscribe_has_its_place(world: World, instance: dg.DagsterInstance) -> None:
    key = completed(world)
    media_file = world.file(key).id

    def note(cause: Cause, action: Action) -> None:
        with world.ledger.begin() as connection:
            operations.note(
                connection, Operation.RECOVERY, cause=cause, action=action, actor="test", media_file_id=media_file
            )

    note(Cause.RUN_LOST, Action.WENT_AGAIN)
    note(Cause.RUN_DEAD, Action.COMPLETED)
    note(Cause.NEVER_BEGAN, Action.QUARANTINED)
    note(Cause.OBJECT_GONE, Action.ORPHANED)
    gaps = {"missing": 4, "stale": 0, "files": 100}
    instance.report_runless_asset_event(dg.AssetMaterialization("search_reconciliation", metadata=gaps))
    theirs = counters.as_opentranscribe(look(world, instance))
    wanted = {
        "stuck_tasks_found": 2,
        "stuck_tasks_recovered": 2,
        "abandoned_files_reset": 1,
        "abandoned_files_completed": 1,
        "orphaned_tasks_found": 1,
        "stuck_files_without_celery_found": 1,
        "stuck_files_without_celery_recovered": 0,
        "stuck_pending_downloads_marked_error": 1,
        "files_recovered": 2,
        "files_marked_orphaned": 1,
        "retriable_errors_found": 0,
        "stuck_downloading_found": 0,
        "opensearch_indices_repaired": {"missing": 4},
        "health_score": "healthy",
    }
    assert {name: theirs[name] for name in wanted} == wanted
    assert len(PERIODIC) == 22
    assert set(theirs) >= PERIODIC


def test_prometheus_reads_the_text(world: World, instance: dg.DagsterInstance) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    completed(world, 'ann"\\/a.wav')
    world.add('o"w\\ner/b.wav')
    told = prometheus.text(look(world, instance)).decode()
    families = {family.name: family for family in text_string_to_metric_families(told)}
    assert all(name.startswith("transcribe_") and family.documentation for name, family in families.items())
    labels = {label for family in families.values() for sample in family.samples for label in sample.labels}
    assert labels <= {
        *("state", "window", "code", "stage", "owner", "where", "service", "model", "outcome"),
        *("operation", "cause", "action", "daemon"),
    }
    states = {sample.labels["state"]: sample.value for sample in families["transcribe_files"].samples}
    assert (states["completed"], states["pending"]) == (1, 1)
    assert families["transcribe_health_score_points"].samples[0].value == 100
    assert [s.labels["owner"] for s in families["transcribe_owner_waiting_files"].samples] == ['o"w\\ner']


def test_names_stay_text_in_markdown(world: World) -> None:
    world.add("<img src=x onerror=alert(1)>|[x](http:evil)/b.wav")
    told = markdown.document(look(world))
    assert "\\<img" in told
    assert "<img" not in told.replace("\\<img", "")
    assert "\\|\\[x\\](http:evil)" in told


def test_the_asset_gives_figures_to_plot_and_text_to_read(world: World, instance: dg.DagsterInstance) -> None:
    completed(world)
    resources = {"ledger": world.ledger}
    result = dg.materialize([assets.health_report], instance=instance, resources=resources)
    (made,) = result.asset_materializations_for_node("health_report")
    figures = {name: value.value for name, value in made.metadata.items() if isinstance(value.value, int | float)}
    assert set(figures) >= {"score", "backlog_files", "error_rate", "throughput_hours_per_hour", "queued_runs"}
    assert figures["completed_per_hour"] == 1
    assert "of 100" in str(made.metadata["verdict"].value)
    assert str(made.metadata["throughput"].value).startswith("![Hours of audio completed")
    assert "a.wav" not in json.dumps([str(value.value) for value in made.metadata.values()])


def test_the_summary_follows_the_reports(world: World, instance: dg.DagsterInstance) -> None:
    for score in (40, 80, 100):
        metadata = {"score": score, "backlog_files": 3, "verdict": dg.MetadataValue.md("text")}
        instance.report_runless_asset_event(dg.AssetMaterialization("health_report", metadata=metadata))
    both = [assets.health_report, assets.health_summary]
    result = dg.materialize(both, selection=["health_summary"], instance=instance, resources={"ledger": world.ledger})
    (made,) = result.asset_materializations_for_node("health_summary")
    assert made.metadata["reports"].value == 3
    assert made.metadata["score_day"].value == 40
    assert "| score | 100 | 40 | 80 | 100 |" in str(made.metadata["trends"].value)


def test_the_summary_without_reports_says_so(world: World, instance: dg.DagsterInstance) -> None:
    both = [assets.health_report, assets.health_summary]
    result = dg.materialize(both, selection=["health_summary"], instance=instance, resources={"ledger": world.ledger})
    (made,) = result.asset_materializations_for_node("health_summary")
    assert made.metadata["reports"].value == 0


def test_trends_tell_the_last_day_from_the_days_before() -> None:
    now = datetime(2026, 5, 5, 12, tzinfo=UTC)
    points = [trends.Point(now - timedelta(hours=hours), {"score": score}) for hours, score in ((50, 10.0), (30, 20.0))]
    points += [trends.Point(now - timedelta(hours=2), {"score": 90.0}), trends.Point(now, {"score": 70.0})]
    assert "| score | 70 | 70 | 80 | 90 | 15 |" in trends.table(points)
    assert trends.summary_numbers(points) == {"score_day": 70.0}


def test_settings_that_name_no_model_are_a_finding_not_a_failure(world: World) -> None:
    report = look(world, None, llm="nonsense")
    (service,) = [each for each in report.services if each.status == "failed"]
    assert service.name == "language models"


def test_the_documentation_shows_where_each_figure_is() -> None:
    written = (ROOT / "docs/health.md").read_text()
    assert written.endswith(f"\n\n{counters.table()}\n"), "paste counters.table() at its end"
