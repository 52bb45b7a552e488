"""Work that a command has Dagster do, as a backfill that its UI shows."""

from collections.abc import Sequence

from transcribe_pipeline.cli.files import find_dagster
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.settings import Settings


def require_dagster(configured: Settings, *, otherwise: str = "") -> None:
    """Raises CONFIGURATION unless Dagster's home is known: without one, Dagster would take a request and forget it."""
    if not find_dagster(configured):
        raise PipelineError(ErrorCode.CONFIGURATION, f"DAGSTER_HOME names no folder with a dagster.yaml{otherwise}")


def launch(owner: str, asset_names: Sequence[str], partition_keys: list[str], *, title: str, trigger: str) -> str:
    """Returns the backfill's id.

    :param title: of our own words only: Dagster refuses certain characters, and names may have any.
    """
    import dagster as dg

    from transcribe_pipeline import backfills
    from transcribe_pipeline.stage import OWNER_TAG, TRIGGER_TAG

    with dg.DagsterInstance.get() as instance:
        tags = {OWNER_TAG: owner, TRIGGER_TAG: trigger}
        return backfills.launch(instance, asset_names, partition_keys, title=title, tags=tags)
