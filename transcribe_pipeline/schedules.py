"""What happens by the clock."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.assets.operations.recovery import StuckFilesConfig, stuck_files
from transcribe_pipeline.assets.operations.search import search_reconciliation
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.operations import recovery
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


all_schedules = [reconcile_search, recover_stuck_files]
