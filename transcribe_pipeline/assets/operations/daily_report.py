"""What was done on each day, for people and for plots over time."""

import warnings
from datetime import date

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.assets.common import OWNERS, code_version
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.operations.daily_report.collecting import daily_report as report_of
from transcribe_pipeline.operations.daily_report.filing import FIRST_DAY, file_report
from transcribe_pipeline.operations.daily_report.markdown import markdown
from transcribe_pipeline.operations.daily_report.picture import picture
from transcribe_pipeline.operations.daily_report.values import DailyReport
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import raise_failure

# Dagster calls `backfill_policy` beta; should it go, a range is a run for each of its days.
warnings.filterwarnings("ignore", category=dg.BetaWarning, message=".*backfill_policy.*")

days = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), timezone="UTC")


@dg.asset(
    group_name="operations",
    kinds={"sqlalchemy"},
    owners=OWNERS,
    code_version=code_version(1),
    partitions_def=days,
    # A year is 365 short queries: in one run it takes seconds, as runs of their own half an hour.
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def daily_report(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[ObjectStore], ledger: dg.ResourceParam[Engine]
) -> None:
    """What happened on a day (UTC): files, hours, words, speakers, languages, errors, cost, stages; per owner.

    Made at 01:00 for the day before and for days that were missed; any range can be made again by a backfill, with the
    same figures but for files deleted since. Markdown, JSON, CSV and picture lie in the store.
    """
    from transcribe_pipeline.export.picture import as_markdown_image

    for key in context.partition_keys:
        try:
            # A file that is forgotten must leave no trace of its name; `transcribe report` tells the slowest.
            report = report_of(ledger, date.fromisoformat(key)).without_files()
            written = file_report(store, settings().artifacts_prefix, report)
        except PipelineError as error:
            raise_failure(error, context)
        plot = picture(report)
        context.add_asset_metadata(
            {
                "report": dg.MetadataValue.md(markdown(report)),
                "picture": dg.MetadataValue.md(as_markdown_image(plot.png(), plot.description)),
                "dagster/uri": store.url(written),
                **numbers(report),
            },
            partition_key=key,
        )


def numbers(report: DailyReport) -> dict[str, int | float]:
    """Figures that the UI plots over the days; those that there are not on this day are left out."""
    total = report.total
    plotted = {
        name: getattr(total, name)
        for name in (
            *("received", "completed", "degraded", "failed", "cancelled", "quarantined", "orphaned", "recovered"),
            *("transcripts", "audio_hours", "words", "speakers"),
            *("cpu_seconds", "gpu_seconds", "tokens_in", "tokens_out", "cost_usd"),
        )
    }
    plotted |= {
        "owners": len(report.owners),
        "queue_wait_median": total.queue_wait.median,
        "queue_wait_p95": total.queue_wait.p95,
        "turnaround_median": total.turnaround.median,
        "turnaround_p95": total.turnaround.p95,
    }
    return {name: value for name, value in plotted.items() if value is not None}
