"""What happens by the clock."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.assets.operations.cleanup import RetentionConfig, failed_files, retention
from transcribe_pipeline.assets.operations.daily_report import daily_report
from transcribe_pipeline.assets.operations.health import health_report, health_summary
from transcribe_pipeline.assets.operations.maintenance import dagster_history, database_maintenance
from transcribe_pipeline.assets.operations.recovery import StuckFilesConfig, stuck_files
from transcribe_pipeline.assets.operations.search import search_reconciliation
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.operations import recovery
from transcribe_pipeline.operations.daily_report.filing import missing_days
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.resources.search_index import Search
from transcribe_pipeline.settings import settings

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
_RECOVERY_TAG = "transcribe/recovery"
_SHOWN_EVERY = timedelta(hours=1)
"""A pass that finds nothing leaves no run behind; this often one does all the same, to be seen, and looks further."""
_EARLY = timedelta(minutes=1)
"""Ticks do not come to the second."""


@dg.schedule(
    cron_schedule="*/10 * * * *",
    target=search_reconciliation,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Compares the search index with the ledger, and has repaired what differs.",
)
def reconcile_search(
    context: dg.ScheduleEvaluationContext, ledger: dg.ResourceParam[Engine], search: dg.ResourceParam[Search]
) -> dg.RunRequest | dg.SkipReason:
    try:
        if search.is_equal(ledger):
            return dg.SkipReason("The index is complete.")
    except PipelineError as error:
        return dg.SkipReason(str(error))
    # Of ticks that were missed the last one counts: a run with the key of this tick is never started twice.
    return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat())


@dg.schedule(
    cron_schedule=settings().recovery_cron,
    execution_timezone=settings().time_zone,
    target=stuck_files,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Looks for files that are stuck, and has them recovered.",
)
def recover_stuck_files(
    context: dg.ScheduleEvaluationContext, ledger: dg.ResourceParam[Engine]
) -> dg.RunRequest | dg.SkipReason:
    waits = dg.RunsFilter(tags={_RECOVERY_TAG: "true"}, statuses=_UNFINISHED)
    if context.instance.get_runs(waits, limit=1):
        return dg.SkipReason("The pass before is still under way.")
    latest = context.instance.get_latest_materialization_event(stuck_files.key)
    shown_at = datetime.fromtimestamp(latest.timestamp, UTC) if latest else datetime.min.replace(tzinfo=UTC)
    is_due = datetime.now(UTC) - shown_at >= _SHOWN_EVERY - _EARLY
    try:
        findings = recovery.look(ledger, context.instance, settings())
    except PipelineError as error:
        return dg.SkipReason(str(error))
    if not findings.stuck and not is_due:
        return dg.SkipReason(f"{findings}.")
    return dg.RunRequest(
        run_key=context.scheduled_execution_time.isoformat(),
        run_config=dg.RunConfig(ops={"stuck_files": StuckFilesConfig(scan_orphans=is_due)}),
        # Before all that waits in the queue: that may be waiting for this very run.
        tags={_RECOVERY_TAG: "true", "dagster/priority": "10", "dagster/max_runtime": "1800"},
    )


@dg.schedule(
    cron_schedule=settings().daily_report_cron,
    execution_timezone=settings().time_zone,
    target=daily_report,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Makes the report of the day before, and of days in the last month that have none.",
)
def report_days(
    context: dg.ScheduleEvaluationContext, store: dg.ResourceParam[ObjectStore], ledger: dg.ResourceParam[Engine]
) -> list[dg.RunRequest] | dg.SkipReason:
    tick = context.scheduled_execution_time
    try:
        days = missing_days(store, ledger, settings().artifacts_prefix, now=tick)
    except PipelineError as error:
        return dg.SkipReason(str(error))
    # A day whose report failed is asked for again by the next tick, so the key names the tick as well.
    requests = [dg.RunRequest(run_key=f"{day}:{tick.isoformat()}", partition_key=day.isoformat()) for day in days]
    return requests or dg.SkipReason("Every day has its report.")


def _timed(
    name: str,
    cron: str,
    *assets: dg.AssetsDefinition,
    minutes: int,
    description: str,
    run_config: dg.RunConfig | None = None,
) -> dg.ScheduleDefinition:
    """Assets made at these times, whatever the world is like. Of ticks that were missed, Dagster makes up for the last.

    :param minutes: a run that takes longer has died.
    """
    return dg.ScheduleDefinition(
        name=name,
        cron_schedule=cron,
        execution_timezone=settings().time_zone,
        target=dg.AssetSelection.assets(*assets),
        run_config=run_config,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        tags={"dagster/max_runtime": str(minutes * 60)},
        description=description,
    )


_configured = settings()
all_schedules = [
    recover_stuck_files,
    _timed("report_health", _configured.health_cron, health_report, minutes=10, description="How the installation is."),
    _timed(
        "sum_up_health",
        _configured.health_summary_cron,
        health_summary,
        minutes=10,
        description="How it was in the last days.",
    ),
    report_days,
    _timed(
        "clear_failed_files",
        _configured.failed_files_cron,
        failed_files,
        minutes=60,
        description="Clears away what files that failed have left behind.",
    ),
    _timed(
        "apply_retention",
        _configured.retention_cron,
        retention,
        minutes=60,
        description="Forgets files that are past their retention.",
        run_config=dg.RunConfig(ops={"retention": RetentionConfig(apply=True)}),
    ),
    _timed(
        "maintain_databases",
        _configured.maintenance_cron,
        dagster_history,
        database_maintenance,
        minutes=120,
        description="Prunes Dagster's history, then vacuums all databases.",
    ),
    reconcile_search,
    _timed(
        "reconcile_whole_search",
        _configured.search_cron,
        search_reconciliation,
        minutes=120,
        description="Compares the whole search index, also where it looks equal.",
    ),
]
