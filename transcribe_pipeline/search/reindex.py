"""Building an OpenSearch index anew while the old one is searched: for a new schema, or one that is not to be trusted.

1. A new index is made. From now on every write goes to both.
2. It is filled from the source, then compared with it and repaired, until a comparison finds nothing.
3. The alias is moved in one step; nobody's query fails or finds half. The old index stays as the previous one.
4. Somebody looks, and `confirm`s or `roll_back`s.

No write is lost, provided that the source knows of a document before it is put into an index. Then a write that began
before step 1, and so goes to the old index alone, is of a document that step 2 reads; a later one reaches both. If
step 2 overwrites a new document with what it had read just before, its next comparison sees that.
"""

from contextlib import suppress
from typing import Final

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.search.opensearch import OpenSearchIndex
from transcribe_pipeline.search.reconcile import Source, compare, repair

_ROUNDS: Final = 10
"""Filling is the first; each later one has to deal with what has changed during the one before, which is little."""


def reindex(index: OpenSearchIndex, source: Source) -> None:
    """Replace the index by one that holds exactly what `source` wants; `roll_back` until it is `confirm`ed.

    Raises REINDEX_REFUSED, and leaves everything as it was, if another is being built or if the new one does not come
    to equal the source.
    """
    building = index.start_building()
    try:
        rounds = (repair(building, source) for _ in range(_ROUNDS))
        if all(gaps for gaps in rounds):
            different = sum(1 for _ in compare(building.held(), source.wanted()))
            raise PipelineError(ErrorCode.REINDEX_REFUSED, f"{different} files still differ from their transcripts")
    except BaseException:
        # The cause matters more than what cannot be deleted for now.
        with suppress(PipelineError):
            abandon(index)
        raise
    index.take_over()


def abandon(index: OpenSearchIndex) -> None:
    """Delete what an attempt that was killed has built so far; until then, writes go there too."""
    index.discard(index.building_alias)


def confirm(index: OpenSearchIndex) -> None:
    """The new index is good: delete the previous one."""
    index.discard(index.previous_alias)


def roll_back(index: OpenSearchIndex, source: Source) -> None:
    """Search the previous index again at once, and repair what was written since."""
    index.roll_back()
    repair(index, source)
