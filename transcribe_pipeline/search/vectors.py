"""Search by meaning: what is embedded, and how two rankings become one.

What does not belong here: the model (`text/embeddings.py`), where a transcript is cut (`text/chunks.py`), and where
vectors are kept and compared, which is each backend's own.
"""

from collections.abc import Hashable, Sequence
from typing import Final, TypeVar

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.search.documents import Chunk
from transcribe_pipeline.text.chunks import chunks
from transcribe_pipeline.text.embeddings import Embedder

K = TypeVar("K", bound=Hashable)

NEAREST_CHUNKS: Final = 30
"""As many chunks are hits by meaning."""
MIN_SIMILARITY: Final = 0.2
"""Cosine: chunks that are less like the query are none. MiniLM gives 0.3 to 0.5 to sentences about what is asked for,
and up to 0.15 to others."""
_RANK_CONSTANT: Final = 60
"""Of reciprocal rank fusion: as its authors have it (Cormack, Clarke, Büttcher, SIGIR 2009), and OpenSearch."""


def embedded_chunks(transcript: Transcript, embedder: Embedder) -> tuple[Chunk, ...]:
    """The chunks of a transcript with their vectors, as a document has them."""
    cut = chunks(transcript)
    vectors = embedder.embed([chunk.text for chunk in cut])
    return tuple(
        Chunk(position, chunk.first_segment, chunk.last_segment, tuple(vector.tolist()))
        for position, (chunk, vector) in enumerate(zip(cut, vectors, strict=True))
    )


def fuse(*rankings: Sequence[K]) -> dict[K, float]:
    """Reciprocal rank fusion: each item with the sum of 1 / (60 + rank), the best first.

    :param rankings: each without repetition, best first. Of equal sums, what an earlier ranking has first comes first.
    """
    sums: dict[K, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            sums[item] = sums.get(item, 0.0) + 1 / (_RANK_CONSTANT + rank)
    return dict(sorted(sums.items(), key=lambda entry: -entry[1]))
