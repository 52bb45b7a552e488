"""Makes a health report: the ledger's figures, Dagster's instance and a look at each service, put together."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline import doctor
from transcribe_pipeline.ledger import health, intake, language_model_calls, operations
from transcribe_pipeline.ledger.health import Ended, Figures
from transcribe_pipeline.ledger.models import Outcome, Status
from transcribe_pipeline.ledger.states import AT_WORK, State
from transcribe_pipeline.operations import freshness
from transcribe_pipeline.operations.health import orchestration
from transcribe_pipeline.operations.health.forecast import Capacity, forecast
from transcribe_pipeline.operations.health.looking import LOOK_SECONDS, Looks, looks
from transcribe_pipeline.operations.health.report import (
    Backlog,
    CareCount,
    Dagster,
    Database,
    Disk,
    Files,
    HealthReport,
    ModelUse,
    OwnerBacklog,
    Pause,
    Service,
    StageHealth,
    Verdict,
    Window,
)
from transcribe_pipeline.operations.health.score import judged
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.stage import STAGES

_FIRST_STAGE = next(iter(STAGES))
_DAGSTER_REMEDY = "Check the storage that dagster.yaml names, and run 'dagster instance migrate' after an upgrade."
OpenInstance = Callable[[], AbstractContextManager[dg.DagsterInstance]]
_WAITING = (Status.PENDING, Status.QUEUED)


def collect(
    ledger: Engine,
    open_instance: OpenInstance | None,
    configured: Settings,
    *,
    now: datetime | None = None,
    look_seconds: float = LOOK_SECONDS,
) -> HealthReport:
    """How this installation is.

    :param open_instance: None where no instance is known; what only Dagster knows is left out then.
    :param look_seconds: how long services may take beyond what the ledger takes anyway.
    :raises PipelineError: DATABASE_UNAVAILABLE, DATABASE_NOT_MIGRATED, DATABASE_NEWER: without the ledger there is
        nothing to report.
    """
    now = now or datetime.now(UTC)
    asked = Looks(looks(configured))
    figures = health.figures(
        ledger,
        now,
        lease_seconds=configured.lease_seconds,
        retention_failed_days=configured.retention_failed_days,
    )
    care = _care(ledger, now)
    models = _language_models(ledger, now)
    dagster, broken = _dagster(open_instance, now, configured)
    total, free = doctor.disk_usage(configured)
    return judged(
        HealthReport(
            at=now,
            verdict=Verdict.HEALTHY,
            score=100,
            reasons=[],
            files=_files(figures),
            last_hour=_window(figures.ended_hour, figures.done_hour, hours=1),
            last_day=_window(figures.ended_day, figures.done_day, hours=24),
            audio_hours_by_hour=[figures.audio_by_hour.get(ago, 0.0) / 3600 for ago in reversed(range(24))],
            stages=_stages(figures),
            backlog=_backlog(figures, _capacity(dagster)),
            pause=_pause(ledger),
            care=care,
            language_models=models,
            database=Database(
                kind=figures.database.kind,
                latency_seconds=round(figures.database.latency_seconds, 6),
                size_bytes=figures.database.size_bytes,
            ),
            disk=Disk(total_bytes=total, free_bytes=free),
            services=[*asked.findings(look_seconds), *broken],
            dagster=dagster,
        )
    )


# --- files ----------------------------------------------------------------------------------------------------------


def _files(figures: Figures) -> Files:
    counts = {count.state: count for count in figures.states}
    return Files(
        total=sum(count.files for count in figures.states),
        by_state={state.value: counts[state].files if state in counts else 0 for state in State},
        bytes=sum(count.bytes for count in figures.states),
        stuck=sum(figures.lost.values()),
        passing_errors=figures.passing,
        degraded_by_stage=figures.degraded,
        past_retention=figures.past_retention,
        on_legal_hold=figures.held,
    )


def _window(ended: Sequence[Ended], done: health.Done, *, hours: float) -> Window:
    def files(*states: State) -> int:
        return sum(each.files for each in ended if each.state in states)

    completed = [each for each in ended if each.state in (State.COMPLETED, State.DEGRADED)]
    number = sum(each.files for each in completed)
    failed = files(State.ERROR, State.QUARANTINED)
    errors: dict[str, int] = {}
    for each in ended:
        if each.error_code and each.state in (State.ERROR, State.QUARANTINED, State.ORPHANED):
            errors[each.error_code] = errors.get(each.error_code, 0) + each.files
    return Window(
        completed=number,
        degraded=files(State.DEGRADED),
        failed=files(State.ERROR),
        cancelled=files(State.CANCELLED),
        orphaned=files(State.ORPHANED),
        quarantined=files(State.QUARANTINED),
        error_rate=_share(failed, number + failed + files(State.ORPHANED)),
        errors=errors,
        retried_files=sum(each.retried for each in ended),
        retries=sum(each.retries for each in ended),
        audio_hours=round(done.audio_seconds / 3600, 4),
        audio_hours_per_hour=round(done.audio_seconds / 3600 / hours, 4),
        mean_processing_seconds=round(sum(each.seconds for each in completed) / number, 3) if number else None,
    )


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


# --- stages ---------------------------------------------------------------------------------------------------------


def _stages(figures: Figures) -> list[StageHealth]:
    return [_stage(figures, name) for name in STAGES]


def _stage(figures: Figures, name: str) -> StageHealth:
    at_stage = [each for each in figures.at_stages if (each.stage or _FIRST_STAGE) == name]
    waiting = [each for each in at_stage if each.status in _WAITING]
    working = [each for each in at_stage if each.status not in _WAITING]
    day = [each for each in figures.work_day if each.stage == name]
    failed = [each for each in day if each.outcome is Outcome.FAILED]
    runs, failures = sum(each.runs for each in day), sum(each.runs for each in failed)
    rtf = {speed.is_recent: speed.median_rtf for speed in figures.speeds if speed.stage == name}
    return StageHealth(
        stage=name,
        waiting=sum(each.files for each in waiting),
        oldest_waiting_seconds=_age(figures.at, (each.oldest for each in waiting)),
        working=sum(each.files for each in working),
        oldest_working_seconds=_age(figures.at, (each.oldest for each in working)),
        stuck=sum(files for stage, files in figures.lost.items() if (stage or _FIRST_STAGE) == name),
        runs_last_hour=sum(each.runs for each in figures.work_hour if each.stage == name),
        runs_last_day=runs,
        failures_last_day=failures,
        errors_last_day={each.error_code or "unknown": each.runs for each in failed},
        error_rate_last_day=_share(failures, runs),
        retries_last_day=figures.repeated_day.get(name, 0),
        seconds_last_day=round(sum(each.seconds for each in day), 3),
        cpu_seconds_last_day=round(sum(each.cpu_seconds for each in day), 3),
        gpu_seconds_last_day=round(sum(each.gpu_seconds for each in day), 3),
        rtf_last_day=_rounded(rtf.get(True)),
        rtf_history=_rounded(rtf.get(False)),
        degraded_files=figures.degraded.get(name, 0),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _age(now: datetime, moments: Iterable[datetime]) -> float | None:
    oldest = min(moments, default=None)
    return None if oldest is None else round(max((now - oldest).total_seconds(), 0.0), 3)


# --- what waits -----------------------------------------------------------------------------------------------------


def _backlog(figures: Figures, capacity: Capacity) -> Backlog:
    files = sum(each.files for each in figures.at_stages)
    size = sum(int(each.bytes) for each in figures.at_stages)
    history = figures.done_history
    audio_seconds = size * history.audio_seconds / history.bytes if history.bytes else None
    told = forecast(files, audio_seconds, figures.speeds, capacity)
    return Backlog(
        files=files,
        in_backlog=_files_in(figures, Status.PENDING) - figures.settling,
        settling=figures.settling,
        in_queue=_files_in(figures, Status.QUEUED),
        at_work=_files_in(figures, *AT_WORK) - sum(figures.lost.values()),
        bytes=size,
        audio_hours=None if audio_seconds is None else round(audio_seconds / 3600, 4),
        oldest_seconds=_age(figures.at, (each.oldest for each in figures.at_stages)),
        owners=[
            OwnerBacklog(owner=each.owner, files=each.files, oldest_seconds=_age(figures.at, [each.oldest]) or 0.0)
            for each in figures.owners
        ],
        work_per_audio_second=told.work_per_audio_second,
        parallel_runs=capacity.runs,
        forecast_seconds=told.seconds,
        forecast=told.sentence,
    )


def _files_in(figures: Figures, *statuses: Status) -> int:
    return sum(each.files for each in figures.at_stages if each.status in statuses)


def _capacity(dagster: Dagster | None) -> Capacity:
    if dagster is None:
        return Capacity(runs=1, speech_places=1)
    return Capacity(dagster.most_runs or max(dagster.running_runs, 1), dagster.speech_places)


def _pause(ledger: Engine) -> Pause | None:
    pause = intake.status(ledger)
    if pause is None:
        return None
    return Pause(since=pause.paused_at, by=pause.paused_by, error_code=pause.error_code, reason=pause.reason)


# --- the rest -------------------------------------------------------------------------------------------------------


def _care(ledger: Engine, now: datetime) -> list[CareCount]:
    hour = {
        (each.operation, each.cause, each.action): each.entries for each in operations.counts(ledger, now - health.HOUR)
    }
    return [
        CareCount(
            operation=each.operation,
            cause=each.cause,
            action=each.action,
            last_hour=hour.get((each.operation, each.cause, each.action), 0),
            last_day=each.entries,
        )
        for each in operations.counts(ledger, now - health.DAY)
    ]


def _language_models(ledger: Engine, now: datetime) -> list[ModelUse]:
    return [
        ModelUse(
            model=f"{each.provider}/{each.model}",
            calls=each.calls,
            failures=each.failures,
            tokens_in=each.tokens_in,
            tokens_out=each.tokens_out,
            cost_usd=each.cost_usd,
        )
        for each in language_model_calls.totals(ledger, since=now - health.DAY)
    ]


def _dagster(
    open_instance: OpenInstance | None, now: datetime, configured: Settings
) -> tuple[Dagster | None, list[Service]]:
    """What Dagster tells; or that it cannot be asked."""
    if open_instance is None:
        return None, []
    try:
        with open_instance() as instance:
            return orchestration.look(instance, now, freshness.fail_windows(configured)), []
    except Exception as error:  # each kind of storage has its own
        facts = f"its storage cannot be asked ({type(error).__name__})"
        return None, [Service(name="Dagster", status="failed", facts=facts, remedy=_DAGSTER_REMEDY)]
