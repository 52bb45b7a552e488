"""Files that are stuck, found and helped."""

import dagster as dg
from pydantic import Field
from sqlalchemy import Engine

from transcribe_pipeline.assets.common import OWNERS, code_version
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.operations.recovery import SENTENCES, Pass, Wait, recover
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import raise_failure


class StuckFilesConfig(dg.Config):
    scan_orphans: bool = Field(
        default=False, description="Also look for files whose uploads are gone, and for results of no file."
    )
    file_keys: list[str] = Field(
        default=[], description="Partition keys. Only these, and without waiting for what may still help itself."
    )


@dg.asset(group_name="operations", kinds={"sqlalchemy"}, owners=OWNERS, code_version=code_version(1))
def stuck_files(
    context: dg.AssetExecutionContext,
    config: StuckFilesConfig,
    store: dg.ResourceParam[ObjectStore],
    ledger: dg.ResourceParam[Engine],
) -> dg.MaterializeResult[None]:
    """Files that do not go on by themselves: found, the cause named, and each helped as its cause calls for.

    A dead run is ended and its place given to others; the file goes on with what is missing, at most three times, and
    is then quarantined with its history. What merely waits is counted and left alone.
    """
    try:
        made = recover(
            ledger,
            context.instance,
            store,
            settings(),
            actor="stuck_files",
            scan_orphans=config.scan_orphans,
            only=config.file_keys or None,
        )
    except PipelineError as error:
        raise_failure(error, context)
    return dg.MaterializeResult(metadata=_metadata(made))


def _metadata(made: Pass) -> dict[str, dg.MetadataValue | int]:
    figures: dict[str, dg.MetadataValue | int] = {
        "files_helped": made.done.total(),
        "runs_failed": made.failed_runs,
        "left_to_next_pass": made.left,
        **{f"waiting_{wait.value}": made.waiting.get(wait, 0) for wait in Wait},
        **{f"orphaned_folders_{prefix}": count for prefix, count in (made.orphaned_folders or {}).items()},
    }
    if made.done:
        rows = [
            dg.TableRecord({"cause": cause.value, "done": action.value, "files": files, "why": SENTENCES[cause]})
            for (cause, action), files in made.done.most_common()
        ]
        figures["done"] = dg.MetadataValue.table(rows)
    return figures
