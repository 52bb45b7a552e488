"""What happens by the clock."""

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.assets.operations.search import search_reconciliation
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.resources.search_index import Search


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


all_schedules = [reconcile_search]
