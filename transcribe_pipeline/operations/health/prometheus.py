"""A health report as Prometheus text, for scraping.

Names begin with `transcribe_` and end in their unit. Everything is a gauge: what a window counted may fall again.
Labels have few values: states, stages, error codes, services, and at most ten owners; never a file.
"""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from transcribe_pipeline.operations.health.report import HealthReport, Verdict

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_STATUSES: Final = {"ok": 1.0, "warning": 0.5, "silent": 0.0, "failed": 0.0}


def text(report: HealthReport) -> bytes:
    """In the exposition format, version 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(report))
    return generate_latest(registry)


class _Metrics(Collector):
    def __init__(self, report: HealthReport) -> None:
        self._report = report

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._verdict()
        yield from self._files()
        yield from self._windows()
        yield from self._stages()
        yield from self._backlog()
        yield from self._surroundings()
        yield from self._dagster()

    def _verdict(self) -> Iterator[GaugeMetricFamily]:
        report = self._report
        yield _one("health_score_points", "0 to 100; from 80 on healthy, below 50 poor.", report.score)
        poor = float(report.verdict is Verdict.POOR)
        yield _one("health_poor", "1 if the installation is poor.", poor)
        yield _one("report_timestamp_seconds", "When this report was made.", report.at.timestamp())

    def _files(self) -> Iterator[GaugeMetricFamily]:
        files = self._report.files
        yield _many("files", "Files by state.", "state", files.by_state)
        yield _one("files_size_bytes", "All recordings together.", files.bytes)
        yield _one("stuck_files", "Files whose run has given no sign of life.", files.stuck)
        yield _one("passing_error_files", "Failed files that recovery tries again.", files.passing_errors)
        yield _one("past_retention_files", "Failed files that retention will delete.", files.past_retention)

    def _windows(self) -> Iterator[GaugeMetricFamily]:
        ended = GaugeMetricFamily(
            "transcribe_ended_files", "Files that ended within a window.", labels=["window", "state"]
        )
        errors = GaugeMetricFamily(
            "transcribe_failed_files", "Files that failed within a window.", labels=["window", "code"]
        )
        audio = GaugeMetricFamily(
            "transcribe_completed_audio_seconds", "Audio of files completed within a window.", labels=["window"]
        )
        rate = GaugeMetricFamily(
            "transcribe_error_ratio", "Share of a window's files that failed, 0 to 1.", labels=["window"]
        )
        retries = GaugeMetricFamily(
            "transcribe_repeated_runs", "Runs beyond each file's first, of files that ended.", labels=["window"]
        )
        for name, window in (("hour", self._report.last_hour), ("day", self._report.last_day)):
            for state in ("completed", "degraded", "failed", "cancelled", "orphaned", "quarantined"):
                ended.add_metric([name, state], getattr(window, state))
            for code, number in window.errors.items():
                errors.add_metric([name, code], number)
            audio.add_metric([name], window.audio_hours * 3600)
            rate.add_metric([name], window.error_rate)
            retries.add_metric([name], window.retries)
        yield from (ended, errors, audio, rate, retries)

    def _stages(self) -> Iterator[GaugeMetricFamily]:
        figures = {
            "stage_waiting_files": ("Files that wait to begin with a stage.", "waiting"),
            "stage_oldest_waiting_seconds": ("Age of the first of them.", "oldest_waiting_seconds"),
            "stage_working_files": ("Files at a stage.", "working"),
            "stage_oldest_working_seconds": ("Since the run of the first of them began.", "oldest_working_seconds"),
            "stage_stuck_files": ("Of these, files that nobody works on any more.", "stuck"),
            "stage_day_runs": ("Runs of a stage within a day.", "runs_last_day"),
            "stage_day_failed_runs": ("Of these, failed ones.", "failures_last_day"),
            "stage_day_repeated_runs": ("Of these, repeated ones.", "retries_last_day"),
            "stage_day_work_seconds": ("Time that a stage took within a day.", "seconds_last_day"),
            "stage_day_cpu_seconds": ("Processor time of it.", "cpu_seconds_last_day"),
            "stage_day_gpu_seconds": ("GPU time of it.", "gpu_seconds_last_day"),
            "stage_day_rtf_ratio": ("Median real-time factor of a day.", "rtf_last_day"),
            "stage_history_rtf_ratio": ("Median real-time factor of the 30 days before.", "rtf_history"),
            "stage_degraded_files": ("Completed files that lack a stage.", "degraded_files"),
        }
        for name, (help_text, field) in figures.items():
            values = {stage.stage: getattr(stage, field) for stage in self._report.stages}
            yield _many(name, help_text, "stage", {key: value for key, value in values.items() if value is not None})
        errors = GaugeMetricFamily(
            "transcribe_stage_day_errors", "Failed runs of a stage within a day.", labels=["stage", "code"]
        )
        for stage in self._report.stages:
            for code, number in stage.errors_last_day.items():
                errors.add_metric([stage.stage, code], number)
        yield errors

    def _backlog(self) -> Iterator[GaugeMetricFamily]:
        backlog = self._report.backlog
        yield _one("backlog_files", "Files that wait or are at work.", backlog.files)
        waiting = {"backlog": backlog.in_backlog, "settling": backlog.settling, "queue": backlog.in_queue}
        yield _many("waiting_files", "Files that wait, by where.", "where", waiting | {"work": backlog.at_work})
        yield _one("backlog_size_bytes", "Their recordings together.", backlog.bytes)
        if backlog.audio_hours is not None:
            yield _one("backlog_audio_seconds", "Their audio, estimated.", backlog.audio_hours * 3600)
        yield _one("backlog_oldest_seconds", "Age of the first of them.", backlog.oldest_seconds or 0)
        if backlog.forecast_seconds is not None:
            yield _one("backlog_forecast_seconds", "Until they are done, if none is added.", backlog.forecast_seconds)
        queues = {each.owner: each.files for each in backlog.owners}
        yield _many("owner_waiting_files", "Waiting files of the ten longest queues.", "owner", queues)
        yield _one("intake_paused", "1 while intake is paused.", float(self._report.pause is not None))

    def _surroundings(self) -> Iterator[GaugeMetricFamily]:
        report = self._report
        services = {service.name: _STATUSES[service.status] for service in report.services}
        yield _many("service_up_ratio", "1: answers; 0.5: with a warning; 0: does not.", "service", services)
        answers = {service.name: service.seconds for service in report.services if service.seconds is not None}
        yield _many("service_answer_seconds", "Until a service answered.", "service", answers)
        yield _one("database_latency_seconds", "Of the simplest question.", report.database.latency_seconds)
        yield _one("database_size_bytes", "Of the ledger.", report.database.size_bytes)
        yield _one("disk_free_bytes", "Under TRANSCRIBE_HOME.", report.disk.free_bytes)
        yield _one("disk_size_bytes", "The whole disk.", report.disk.total_bytes)
        care = GaugeMetricFamily(
            "transcribe_care_day_actions", "What the pipeline's own care did within a day.",
            labels=["operation", "cause", "action"],
        )  # fmt: skip
        for each in report.care:
            care.add_metric([each.operation, each.cause, each.action], each.last_day)
        yield care
        calls = GaugeMetricFamily(
            "transcribe_language_model_day_calls", "Requests within a day.", labels=["model", "outcome"]
        )
        for model in report.language_models:
            calls.add_metric([model.model, "answered"], model.calls - model.failures)
            calls.add_metric([model.model, "failed"], model.failures)
        yield calls

    def _dagster(self) -> Iterator[GaugeMetricFamily]:
        dagster = self._report.dagster
        if dagster is None:
            return
        alive = {daemon.name: float(daemon.healthy) for daemon in dagster.daemons}
        yield _many("daemon_up", "1 if a daemon of Dagster gives signs of life.", "daemon", alive)
        yield _one("queued_runs", "Runs in Dagster's queue.", dagster.queued_runs)
        yield _one("running_runs", "Runs at work.", dagster.running_runs)
        yield _one("queue_oldest_seconds", "Age of the first queued run.", dagster.oldest_queued_seconds or 0)
        yield _one(
            "idle_slot_holders", "Runs that do not run and hold a place in a pool.", len(dagster.idle_slot_holders)
        )
        made = {each.name: each.last_success.timestamp() for each in dagster.operations if each.last_success}
        yield _many("operation_last_success_timestamp_seconds", "When an operation was last made.", "operation", made)
        overdue = {each.name: float(each.is_overdue) for each in dagster.operations}
        yield _many("operation_overdue", "1 if an operation was not made for too long.", "operation", overdue)


def _one(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"transcribe_{name}", help_text, value=value)


def _many(name: str, help_text: str, label: str, values: "dict[str, float] | dict[str, int]") -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"transcribe_{name}", help_text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
