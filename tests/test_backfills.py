"""A backfill that the pipeline launches is what Dagster's own UI would have made of the same request."""

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from transcribe_pipeline.backfills import launch
from transcribe_pipeline.partitions import media_files

NAMES, KEYS = ("first", "second"), ["a-1", "b-2"]


@dg.asset(partitions_def=media_files)
def first() -> None: ...


@dg.asset(partitions_def=media_files, deps=[first])
def second() -> None: ...


def test_it_is_the_backfill_that_the_ui_would_have_launched():
    graph = AssetGraph.from_assets([first, second])
    with dg.DagsterInstance.ephemeral() as instance:
        backfill_id = launch(instance, NAMES, KEYS, title="Voices: confirm (1)", tags={"transcribe/owner": "ann"})
        stored = instance.get_backfill(backfill_id)
        assert stored
        by_the_ui = PartitionBackfill.from_asset_partitions(
            backfill_id=backfill_id,
            asset_graph=graph,
            partition_names=KEYS,
            asset_selection=[dg.AssetKey(name) for name in NAMES],
            backfill_timestamp=stored.backfill_timestamp,
            tags={"transcribe/owner": "ann"},
            dynamic_partitions_store=instance,
            all_partitions=False,
            title="Voices: confirm (1)",
            description=None,
            run_config=None,
        )
        assert stored.status == BulkActionStatus.REQUESTED
        assert stored.asset_selection
        assert by_the_ui.asset_selection
        assert set(stored.asset_selection) == set(by_the_ui.asset_selection)
        assert stored._replace(asset_selection=None) == by_the_ui._replace(asset_selection=None)


def test_files_that_this_instance_has_not_heard_of_are_made_known_to_it():
    with dg.DagsterInstance.ephemeral() as instance:
        launch(instance, NAMES, KEYS, title="t", tags={})
        launch(instance, NAMES, KEYS, title="t", tags={})
        assert sorted(instance.get_dynamic_partitions(str(media_files.name))) == KEYS
