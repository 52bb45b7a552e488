"""Databases kept small and quick: Dagster's history pruned, then all of them vacuumed."""

import dagster as dg
from pydantic import Field
from sqlalchemy import Engine

from transcribe_pipeline.assets.common import OWNERS, code_version
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.ledger import cleanup
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import raise_failure

_PASS_SECONDS = 900.0
"""What a pass does not come to within this time is for the next one."""


class HistoryConfig(dg.Config):
    apply: bool = Field(default=True, description="False: only tell how many runs would go.")


@dg.asset(group_name="operations", kinds={"dagster"}, owners=OWNERS, code_version=code_version(1))
def dagster_history(
    context: dg.AssetExecutionContext, config: HistoryConfig, ledger: dg.ResourceParam[Engine]
) -> dg.MaterializeResult[None]:
    """What Dagster remembers, without what is old and on no page needed: runs with their events and logs, ticks, keys
    of partitions whose files are no more.

    Of every asset and file the latest materialisation stays, and every golden evaluation.
    """
    from transcribe_pipeline.operations import pruning  # Dagster's storages: 0.3 s

    try:
        pruned = pruning.prune(
            context.instance, ledger, days=settings().history_days, seconds=_PASS_SECONDS, apply=config.apply
        )
    except PipelineError as error:
        raise_failure(error, context)
    return dg.MaterializeResult(
        metadata={
            "applied": config.apply,
            "runs": pruned.runs,
            "kept_runs": pruned.kept_runs,
            "ticks": pruned.ticks,
            "stray_files": pruned.stray_files,
            "partition_keys": pruned.partition_keys,
            "bytes_of_files": pruned.bytes,
            "complete": pruned.is_complete,
        }
    )


@dg.asset(
    group_name="operations",
    kinds={"sqlalchemy"},
    owners=OWNERS,
    code_version=code_version(1),
    deps=[dagster_history],  # first the rows, then the room that they took
)
def database_maintenance(
    context: dg.AssetExecutionContext, ledger: dg.ResourceParam[Engine]
) -> dg.MaterializeResult[None]:
    """The ledger, the embedded search index and Dagster's storage, vacuumed and their statistics renewed.

    What is busy at the time is left for the next, and said to be.
    """
    from transcribe_pipeline.operations import maintenance

    try:
        is_work_going_on = cleanup.is_anybody_at_work(ledger)
        done = [
            maintenance.maintain(database, is_work_going_on=is_work_going_on)
            for database in maintenance.databases(settings(), ledger, context.instance)
        ]
    except PipelineError as error:
        raise_failure(error, context)
    rows = [
        dg.TableRecord(
            {
                "database": each.database,
                "bytes_before": each.bytes_before,
                "bytes_after": each.bytes_after,
                "skipped": each.skipped,
            }
        )
        for each in done
    ]
    return dg.MaterializeResult(
        metadata={
            "bytes_before": sum(each.bytes_before for each in done),
            "bytes_after": sum(each.bytes_after for each in done),
            "skipped": sum(bool(each.skipped) for each in done),
            "databases": dg.MetadataValue.table(rows),
        }
    )
