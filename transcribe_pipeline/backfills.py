"""Asset backfills launched by the pipeline itself: Dagster's daemon carries them out, its UI shows and cancels them.

What belongs here: how a backfill is made known to Dagster. What does not: which files it is for.
"""

import time
from collections.abc import Mapping, Sequence

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.utils import make_new_backfill_id

from transcribe_pipeline.partitions import media_files


def launch(
    instance: dg.DagsterInstance,
    asset_names: Sequence[str],
    partition_keys: Sequence[str],
    *,
    title: str,
    tags: Mapping[str, str],
) -> str:
    """Ask for these per-media assets of these files; returns the backfill's id.

    One run for each file materialises all named assets in their order. `title` and `tags` are what the UI shows and
    filters by; the runs carry the tags. The daemon looks for backfills every 30 s. Files that this instance has not
    heard of (its storage is newer than the ledger) are made known to it.

    What Dagster's own UI stores when somebody launches a backfill, made without loading the asset graph (2 s): the
    subset is spelled out. These are internals of Dagster, since its public API has no backfills; a test with the real
    daemon holds them.
    """
    instance.add_dynamic_partitions(str(media_files.name), partition_keys)
    files = DefaultPartitionsSubset(set(partition_keys))
    wanted = AssetGraphSubset(  # type: ignore[call-arg]  # mypy takes its `__hash__: Any` for a third field
        partitions_subsets_by_asset_key={dg.AssetKey(name): files for name in asset_names}
    )
    backfill_id: str = make_new_backfill_id()
    backfill = PartitionBackfill.from_asset_graph_subset(
        backfill_id=backfill_id,
        backfill_timestamp=time.time(),
        tags=dict(tags),
        dynamic_partitions_store=instance,
        asset_graph_subset=wanted,
        title=title,
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    return backfill_id
