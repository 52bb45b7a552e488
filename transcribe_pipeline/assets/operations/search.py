"""Keeping the search index equal to the ledger."""

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.assets.common import OWNERS, code_version
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.resources.search_index import Search
from transcribe_pipeline.search.reconcile import Gap
from transcribe_pipeline.stage import raise_failure


@dg.asset(group_name="operations", kinds={"sqlalchemy"}, owners=OWNERS, code_version=code_version(1))
def search_reconciliation(
    context: dg.AssetExecutionContext, ledger: dg.ResourceParam[Engine], search: dg.ResourceParam[Search]
) -> dg.MaterializeResult[None]:
    """The search index made equal to the ledger: only what is missing, differs or should not be there is touched.

    Gives files back their place in the index that could not be reached when they were transcribed, and adds what search
    by meaning needs.
    """
    try:
        gaps = search.reconcile(ledger)
        status = search.index.status()
    except PipelineError as error:
        raise_failure(error, context)
    return dg.MaterializeResult(
        metadata={
            **{gap.value: gaps[gap] for gap in Gap},
            "files": status.media,
            "passages": status.passages,
            "vectors": status.vectors,
            "bytes": status.size_bytes,
            "index": f"{status.backend}: {status.location}",
            **({"search_by_meaning": status.semantic} if status.semantic else {}),
        }
    )
