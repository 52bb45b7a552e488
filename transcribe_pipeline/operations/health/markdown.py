"""A health report for people, as Markdown: the verdict with its reasons first, then the figures as tables."""

from collections.abc import Callable, Iterable, Sequence

from transcribe_pipeline.export.script import clean
from transcribe_pipeline.operations.health.report import HealthReport, Operation, Window


def verdict(report: HealthReport) -> str:
    """'**fair, 65 of 100**' and the reasons with their advice; nothing else."""
    lines = [f"**{report.verdict.value}, {report.score} of 100** ({report.at:%Y-%m-%d %H:%M} UTC)", ""]
    lines += [f"- -{reason.points}: {plain(reason.sentence)} *{plain(reason.advice)}*" for reason in report.reasons]
    if not report.reasons:
        lines.append("Nothing is wrong.")
    return "\n".join(lines)


def work(report: HealthReport) -> str:
    """What waits, what was done within the last hour and day, and when the backlog will be done."""
    rows: list[Sequence[object]] = [
        ("completed", *_both(report, lambda window: window.completed)),
        ("of these degraded", *_both(report, lambda window: window.degraded)),
        ("failed", *_both(report, lambda window: window.failed)),
        ("quarantined", *_both(report, lambda window: window.quarantined)),
        ("cancelled", *_both(report, lambda window: window.cancelled)),
        ("orphaned", *_both(report, lambda window: window.orphaned)),
        ("runs repeated", *_both(report, lambda window: window.retries)),
        ("hours of audio", *(f"{window.audio_hours:.1f}" for window in (report.last_hour, report.last_day))),
        ("errors", *(_errors(window.errors) for window in (report.last_hour, report.last_day))),
    ]
    queues = [(plain(each.owner), each.files, duration(each.oldest_seconds)) for each in report.backlog.owners]
    waiting = (
        ("in the backlog, others come first", report.backlog.in_backlog),
        ("may still be being written", report.backlog.settling),
        ("in Dagster's queue", report.backlog.in_queue),
        ("at work", report.backlog.at_work),
        ("stuck", report.files.stuck),
    )
    parts = [
        report.backlog.forecast,
        table(("not finished", "files"), waiting),
        table(("", "last hour", "last day"), rows),
    ]
    if queues:
        parts.append(table(("waiting by owner", "files", "oldest"), queues))
    return "\n\n".join(parts)


def stages(report: HealthReport) -> str:
    """A row for each stage that has anything to tell."""
    rows = [
        (
            stage.stage,
            stage.waiting or "",
            duration(stage.oldest_waiting_seconds),
            stage.working or "",
            duration(stage.oldest_working_seconds),
            stage.runs_last_hour,
            stage.runs_last_day,
            stage.retries_last_day or "",
            _errors(stage.errors_last_day),
            "" if stage.rtf_last_day is None else f"{stage.rtf_last_day:.4f}",
            "" if stage.rtf_history is None else f"{stage.rtf_history:.4f}",
            stage.degraded_files or "",
        )
        for stage in report.stages
        if stage.runs_last_day or stage.waiting or stage.working or stage.degraded_files or stage.rtf_history
    ]
    columns = ("stage", "waiting", "oldest", "working", "longest", "runs, 1 h", "runs, 24 h", "repeated", "errors")
    return table((*columns, "RTF, 24 h", "RTF, 30 days", "files without"), rows)


def surroundings(report: HealthReport) -> str:
    """Services, database, disk and Dagster."""
    rows: list[Sequence[object]] = [
        (
            service.name,
            service.status,
            plain(service.facts),
            "" if service.seconds is None else f"{service.seconds:.2f}",
        )
        for service in report.services
    ]
    database, disk = report.database, report.disk
    size = f"{database.kind}, {database.size_bytes / 1e6:,.1f} MB"
    rows.append(("ledger", "ok", size, f"{database.latency_seconds:.4f}"))
    rows.append(("disk", "", f"{disk.free_bytes / 1e9:,.1f} of {disk.total_bytes / 1e9:,.1f} GB free", ""))
    parts = [table(("service", "status", "", "seconds"), rows)]
    if report.dagster:
        most = report.dagster.most_runs
        parts.append(f"{report.dagster.running_runs} of {most or 'any number of'} runs are at work. {_queue(report)}")
        daemons = [
            (daemon.name, "ok" if daemon.healthy else "silent", duration(daemon.seconds_since_heartbeat))
            for daemon in report.dagster.daemons
        ]
        made = [
            (each.name, "never" if each.last_success is None else f"{each.last_success:%Y-%m-%d %H:%M}", _due(each))
            for each in report.dagster.operations
        ]
        parts += [table(("daemon", "", "last sign of life"), daemons)] if daemons else []
        parts.append(table(("operation", "last made (UTC)", ""), made))
    if report.care:
        care = [(each.operation, each.cause, each.action, each.last_hour, each.last_day) for each in report.care]
        parts.append(table(("what was done", "found", "done", "last hour", "last day"), care))
    return "\n\n".join(parts)


def document(report: HealthReport) -> str:
    """Everything."""
    parts = {
        "Work": work(report),
        "Stages": stages(report),
        "Surroundings": surroundings(report),
    }
    return "\n\n".join([f"# Health\n\n{verdict(report)}", *(f"## {title}\n\n{text}" for title, text in parts.items())])


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [_row(columns), _row(["---"] * len(columns)), *(_row([str(cell) for cell in row]) for row in rows)]
    return "\n".join(lines)


def plain(text: str) -> str:
    """Names of people's making cannot become a link, a picture, a tag or another cell."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|" else c for c in clean(text))


def duration(seconds: float | None) -> str:
    """'45 s', '12 min', '3.5 h', '2.1 d'; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} d"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _both(report: HealthReport, value: Callable[[Window], int]) -> tuple[int, int]:
    return value(report.last_hour), value(report.last_day)


def _errors(errors: dict[str, int]) -> str:
    return ", ".join(f"{code} {number}" for code, number in sorted(errors.items(), key=lambda item: -item[1]))


def _queue(report: HealthReport) -> str:
    dagster = report.dagster
    if dagster is None or not dagster.queued_runs:
        return "None waits."
    waited = duration(dagster.oldest_queued_seconds)
    return f"{dagster.queued_runs} wait, the first for {waited}: it waits for {plain(dagster.oldest_waits_for)}."


def _due(operation: Operation) -> str:
    return "overdue" if operation.is_overdue else ""
