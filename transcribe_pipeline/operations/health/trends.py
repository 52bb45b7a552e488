"""The figures of a report that are worth following, and how they went over the reports of the last days."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final

import dagster as dg

from transcribe_pipeline.export.plot_parts import Plot
from transcribe_pipeline.operations.health import markdown, picture
from transcribe_pipeline.operations.health.report import HealthReport

REPORTS: Final = 7 * 24 + 12
"""A week of hourly reports, and some that were made by hand."""
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Point:
    at: datetime
    values: dict[str, float]


def numbers(report: HealthReport) -> dict[str, int | float]:
    """Figures of a report, for the UI to plot; what could not be measured is left out."""
    day, hour, backlog = report.last_day, report.last_hour, report.backlog
    by_name = {stage.stage: stage for stage in report.stages}
    figures: dict[str, int | float | None] = {
        "score": report.score,
        "backlog_files": backlog.files,
        "backlog_audio_hours": backlog.audio_hours,
        "oldest_minutes": None if backlog.oldest_seconds is None else round(backlog.oldest_seconds / 60, 2),
        "forecast_hours": None if backlog.forecast_seconds is None else round(backlog.forecast_seconds / 3600, 3),
        "error_rate": day.error_rate,
        "completed_per_hour": hour.completed,
        "throughput_hours_per_hour": hour.audio_hours_per_hour,
        "repeated_runs": day.retries,
        "stuck": report.files.stuck,
        "quarantined": report.files.by_state["quarantined"],
        "degraded": report.files.by_state["degraded"],
        "failed": report.files.by_state["error"],
        "orphaned": report.files.by_state["orphaned"],
        "rtf": backlog.work_per_audio_second,
        "rtf_transcription": by_name["transcription"].rtf_last_day,
        "rtf_diarization": by_name["diarization"].rtf_last_day,
        "disk_free_gb": round(report.disk.free_bytes / 1e9, 2),
        "database_mb": round(report.database.size_bytes / 1e6, 2),
        "database_ms": round(report.database.latency_seconds * 1e3, 3),
        "services_failed": sum(service.status in ("silent", "failed") for service in report.services),
    }
    if report.dagster:
        figures |= {
            "queued_runs": report.dagster.queued_runs,
            "running_runs": report.dagster.running_runs,
            "queue_minutes": round((report.dagster.oldest_queued_seconds or 0) / 60, 2),
        }
    return {name: value for name, value in figures.items() if value is not None}


def course(records: Sequence[dg.EventLogRecord]) -> list[Point]:
    """The reports behind these materialisations, the oldest first."""
    points = []
    for record in records:
        made = record.asset_materialization
        if made is None:
            continue
        values = {name: value.value for name, value in made.metadata.items() if isinstance(value.value, int | float)}
        points.append(Point(datetime.fromtimestamp(record.timestamp, UTC), values))
    return sorted(points, key=lambda point: point.at)


def table(points: Sequence[Point]) -> str:
    """Each figure: now, the range and the middle of the last day, the middle of the days before."""
    rows = []
    for name in points[-1].values:
        day, before = _split(points, name)
        earlier = f"{median(before):g}" if before else ""
        rows.append((name, f"{day[-1]:g}", f"{min(day):g}", f"{median(day):g}", f"{max(day):g}", earlier))
    return markdown.table(("", "now", "least", "middle of the last day", "most", "middle of the days before"), rows)


def summary_numbers(points: Sequence[Point]) -> dict[str, float]:
    """Of the last day: the worst score, and the middle of what people ask for."""
    wanted: dict[str, Callable[[list[float]], float]] = {
        "score": min,
        "backlog_files": median,
        "error_rate": median,
        "throughput_hours_per_hour": median,
    }
    found = {}
    for name, how in wanted.items():
        day, _ = _split(points, name)
        if day:
            found[f"{name}_day"] = float(how(day))
    return found


def plots(points: Sequence[Point]) -> list[tuple[str, Plot]]:
    wanted = {"score": "of 100", "backlog_files": "files", "throughput_hours_per_hour": "h audio / h"}
    labels = [f"{point.at:%m-%d %H:%M}" for point in points]
    return [
        (f"{name}_course", picture.columns(name, unit, [point.values.get(name, 0.0) for point in points], labels))
        for name, unit in wanted.items()
    ]


def _split(points: Sequence[Point], name: str) -> tuple[list[float], list[float]]:
    """A figure's values of the last day, and of the days before."""
    since = points[-1].at - _DAY
    day = [point.values[name] for point in points if point.at > since and name in point.values]
    before = [point.values[name] for point in points if point.at <= since and name in point.values]
    return day, before
