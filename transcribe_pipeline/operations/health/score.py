"""What a report is worth: 100 less what is wrong with the installation, each deduction a sentence and an advice.

From 80 on an installation is healthy, from 50 on fair, below it is poor. A single thing that stops the work altogether
(a store that does not answer, a dead daemon) makes it poor; what costs some files something makes it fair.
"""

from collections.abc import Iterator

from transcribe_pipeline import doctor
from transcribe_pipeline.operations.health.report import HealthReport, Reason, Verdict

HEALTHY, FAIR = 80, 50
_STOPS_ALL, _STOPS_MUCH, _COSTS, _NOTE = 55, 25, 10, 5
_HIGH_ERRORS, _ERRORS = 0.10, 0.05
"""Shares of files: from where on errors are too many to be the recordings' own."""
_MANY_ORPHANS, _ORPHANS = 0.05, 0.02
_FEW = 5
"""Below so many files a share says nothing."""
_SLOW = 1.5
"""Times the median of the month before."""
_SLOW_RTF = 0.02
"""Stages faster than this take no time worth a word."""
_LONG_WAIT = 3_600
_LONG_BACKLOG = 86_400
_DATABASE_SECONDS = 0.25
_ESSENTIAL = {"store", "speech recognition", "Dagster"}
_POINTS = {"failed": (_COSTS, _STOPS_ALL), "silent": (_NOTE, _STOPS_MUCH), "warning": (_NOTE, _NOTE)}
"""Status of a service -> what it costs: one that is good to have, one without which nothing goes."""


def judged(report: HealthReport) -> HealthReport:
    """The report with score, verdict and reasons."""
    reasons = sorted(_reasons(report), key=lambda reason: -reason.points)
    score = max(0, 100 - sum(reason.points for reason in reasons))
    return report.model_copy(update={"score": score, "verdict": _verdict(report, score), "reasons": reasons})


def _verdict(report: HealthReport, score: int) -> Verdict:
    if score < FAIR:
        return Verdict.POOR
    if score < HEALTHY:
        return Verdict.FAIR
    return Verdict.HEALTHY if report.files.total else Verdict.EMPTY


def _reasons(report: HealthReport) -> Iterator[Reason]:
    yield from _of_services(report)
    yield from _of_machine(report)
    yield from _of_dagster(report)
    yield from _of_intake(report)
    yield from _of_files(report)
    yield from _of_errors(report)
    yield from _of_speed(report)


def _of_services(report: HealthReport) -> Iterator[Reason]:
    for service in report.services:
        if service.status == "ok":
            continue
        points = _POINTS[service.status][service.name in _ESSENTIAL]
        name = f"{service.name[0].upper()}{service.name[1:]}"
        yield Reason(
            points=points,
            sentence=f"{name}: {_sentence(service.facts)}",
            advice=service.remedy or "Run 'transcribe doctor'.",
        )


def _of_machine(report: HealthReport) -> Iterator[Reason]:
    disk, database = report.disk, report.database
    if disk.free_bytes < doctor.DISK_BYTES:
        yield Reason(
            points=_STOPS_MUCH,
            sentence=f"Only {disk.free_bytes / 1e9:.1f} GB of the disk under TRANSCRIBE_HOME are free.",
            advice="Make room, or see what cleanup would remove: 'transcribe cleanup plan'.",
        )
    if database.latency_seconds > _DATABASE_SECONDS:
        yield Reason(
            points=_NOTE,
            sentence=f"The ledger's database takes {database.latency_seconds:.2f} s for the simplest question.",
            advice="See what keeps it busy.",
        )


def _of_dagster(report: HealthReport) -> Iterator[Reason]:
    dagster = report.dagster
    if dagster is None:
        return
    silent = [daemon.name for daemon in dagster.daemons if not daemon.healthy]
    if silent:
        yield Reason(
            points=_STOPS_ALL,
            sentence=f"No sign of life from Dagster's daemon: {', '.join(silent)}.",
            advice="Start it: 'dagster-daemon run', or 'make up' on a single machine.",
        )
    overdue = [operation.name for operation in dagster.operations if operation.is_overdue]
    if overdue:
        yield Reason(
            points=_COSTS,
            sentence=f"Not made for too long: {', '.join(overdue)}.",
            advice="See in the UI, under Automation, whether their schedules run, and why their last runs failed.",
        )
    if dagster.idle_slot_holders:
        yield Reason(
            points=_STOPS_MUCH,
            sentence=f"Places in a pool are held by runs that do not run: {len(dagster.idle_slot_holders)}.",
            advice="Recovery frees them within minutes; 'transcribe recover --apply' does it now.",
        )


def _of_intake(report: HealthReport) -> Iterator[Reason]:
    if report.pause:
        code = f" ({report.pause.error_code})" if report.pause.error_code else ""
        yield Reason(
            points=_STOPS_MUCH,
            sentence=f"Intake is paused since {report.pause.since:%Y-%m-%d %H:%M} UTC{code}.",
            advice="Remove the cause; intake resumes by itself, or with 'transcribe intake resume'.",
        )
    backlog = report.backlog
    waiting = backlog.in_backlog + backlog.in_queue
    oldest = max((stage.oldest_waiting_seconds or 0 for stage in report.stages), default=0)
    # A long recording at work is no standstill, however long others wait for it.
    if waiting and oldest > _LONG_WAIT and not backlog.at_work and not report.last_hour.completed:
        yield Reason(
            points=_STOPS_MUCH,
            sentence=f"Standstill: {_files(waiting)} waiting, none at work, none completed within the last hour.",
            advice="'transcribe recover' tells what each of them waits for.",
        )
    if (backlog.forecast_seconds or 0) > _LONG_BACKLOG:
        yield Reason(
            points=_NOTE,
            sentence=f"The backlog is long: {backlog.forecast}",
            advice="Let more runs work at once (max_concurrent_runs and the pool in dagster.yaml), or use a GPU.",
        )


def _of_files(report: HealthReport) -> Iterator[Reason]:
    files = report.files
    if files.stuck:
        yield Reason(
            points=_STOPS_MUCH,
            sentence=f"Stuck, since their runs give no sign of life: {_files(files.stuck)}.",
            advice="Recovery takes them up within two of its intervals; 'transcribe recover --apply' does it now.",
        )
    if quarantined := files.by_state["quarantined"]:
        yield Reason(
            points=_COSTS,
            sentence=f"Quarantined, since every try failed: {_files(quarantined)}.",
            advice="See 'transcribe ls --status quarantined'; with the cause removed, 'transcribe redrive FILE'.",
        )
    if degraded := files.by_state["degraded"]:
        stages = ", ".join(sorted(files.degraded_by_stage))
        yield Reason(
            points=_NOTE,
            sentence=f"Transcribed, but lacking something ({stages}): {_files(degraded)}.",
            advice="Recovery makes up for it; see 'transcribe ls --status degraded' for what stays.",
        )
    orphaned = files.by_state["orphaned"]
    share = orphaned / max(files.total, 1)
    if orphaned >= _FEW and share >= _ORPHANS:
        yield Reason(
            points=_STOPS_MUCH if share >= _MANY_ORPHANS else _COSTS,
            sentence=f"Uploads are gone from the store: {_files(orphaned)}, {share:.0%} of all.",
            advice="See who deletes uploads before they are transcribed: 'transcribe ls --status orphaned'.",
        )


def _of_errors(report: HealthReport) -> Iterator[Reason]:
    day = report.last_day
    failed = day.failed + day.quarantined
    if failed < _FEW or day.error_rate < _ERRORS:
        return
    code, files = max(day.errors.items(), key=lambda item: item[1], default=("", 0))
    most = f", most of them ({files}) with {code}" if code else ""
    yield Reason(
        points=_STOPS_ALL if day.error_rate >= _HIGH_ERRORS else _STOPS_MUCH,
        sentence=f"{day.error_rate:.0%} of the last day's files failed{most}.",
        advice=f"See docs/errors.md for {code} and 'transcribe ls --status error'."
        if code
        else "See 'transcribe ls --status error'.",
    )


def _of_speed(report: HealthReport) -> Iterator[Reason]:
    slower = [
        f"{stage.stage} ({stage.rtf_last_day / stage.rtf_history:.1f} times)"
        for stage in report.stages
        if stage.rtf_last_day is not None
        and stage.rtf_history
        and stage.rtf_last_day > _SLOW_RTF
        and stage.rtf_last_day >= _SLOW * stage.rtf_history
    ]
    if slower:
        yield Reason(
            points=_COSTS,
            sentence=f"Slower than in the month before: {', '.join(slower)}.",
            advice="See what else this machine does, and whether models, settings or versions changed.",
        )


def _files(number: int) -> str:
    return f"{number:,} file{'' if number == 1 else 's'}"


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
