"""Where the topic shifts, by what is said before and after each segment.

TextTiling (Hearst, "TextTiling: Segmenting Text into Multi-paragraph Subtopic Passages", Computational Linguistics 23,
1997): a window before each gap is compared with the window after it, and a gap is as deep as its similarity lies below
that of the gaps around it. Compared are sentence embeddings where there is an embedder (as Solbiati et al. did,
"Unsupervised Topic Segmentation of Meetings with BERT Embeddings", 2021), else terms, weighted by their rarity in the
recording.

What does not belong here: where to cut (`text/cuts.py`, `semantic_chunks.py`, `chapters.py`).
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from zlib import crc32

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insight.terms import terms
from transcribe_pipeline.text.embeddings import Embedder
from transcribe_pipeline.text.words import size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_CUTOFF_DEVIATIONS: Final = 0.5
"""A shift is deeper than the mean of all peaks by so many standard deviations. Hearst takes those above the mean less
half a deviation; over the recordings of `tests/insight/texts.py` that finds 1.2 boundaries for each true one, this 1.0,
and Pk is 0.05 lower."""
_LEAST_DEPTH: Final = 0.05
"""Less is rounding, and a word more or less."""
_TERM_DIMENSIONS: Final = 512
"""Terms are counted in so many hashed dimensions (Weinberger et al., "Feature Hashing for Large Scale Multitask
Learning", 2009): memory is bounded, and the few terms of two windows seldom meet in one by accident."""


def depths(transcript: Transcript, embedder: Embedder | None, *, window: int) -> list[float]:
    """How much the topic shifts after each segment: from 0 to 2, as cosines differ. One for each, 0 after the last.

    Linear in the length of the transcript. Raises as `Embedder.embed` does.

    :param window: words that are compared on each side of a gap, and within which it is compared with other gaps.
    """
    import numpy as np

    if not transcript.segments:
        return []
    sizes = np.array([sum(size(word.text, transcript.language) for word in each.words) for each in transcript.segments])
    vectors = _meanings(transcript, sizes, embedder) if embedder else _terms(transcript)
    ends = np.append(0.0, np.cumsum(sizes))
    return [*_depths(_similarities(vectors, ends, window), ends[1:-1], window).tolist(), 0.0]


def shifts(depths: Sequence[float]) -> list[float]:
    """For each gap by how much it is deeper than a shift of topic must be in this recording; 0 where it is none."""
    import numpy as np

    around = np.pad(np.asarray(depths, dtype=np.float64), 1)
    is_peak = (around[1:-1] > around[:-2]) & (around[1:-1] >= around[2:])
    peaks = around[1:-1][is_peak]
    if not peaks.size:
        return [0.0] * len(depths)
    # Where nothing shifts there is one more, of no depth: a peak is not usual because it is the only one.
    usual = np.append(peaks, 0.0)
    cutoff = max(_LEAST_DEPTH, usual.mean() + _CUTOFF_DEVIATIONS * usual.std())
    return [float(each) for each in np.where(is_peak, np.maximum(around[1:-1] - cutoff, 0.0), 0.0)]


def _similarities(vectors: "Floats", ends: "Floats", window: int) -> "Floats":
    """Cosine of what is said in the window before each gap and in the window after it; 1 where nothing is.

    :param ends: words before each segment, and in all.
    """
    import numpy as np

    sums = np.vstack([np.zeros(vectors.shape[1]), np.cumsum(vectors, axis=0)])
    gaps = np.arange(1, len(vectors))
    first = np.searchsorted(ends, ends[gaps] - window, side="right") - 1
    last = np.searchsorted(ends, ends[gaps] + window)
    before = sums[gaps] - sums[np.clip(first, 0, gaps - 1)]
    after = sums[np.clip(last, gaps + 1, len(vectors))] - sums[gaps]
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    products = np.einsum("ij,ij->i", before, after)
    return np.asarray(np.divide(products, norms, out=np.ones_like(norms), where=norms > 1e-9))


def _depths(similarities: "Floats", places: "Floats", window: int) -> "Floats":
    """Mean of how far each gap lies below the most alike of the gaps in the window before, and in that after it.

    Hearst climbs from a gap for as long as similarity rises, which ends at the first ripple. With windows instead, Pk
    over 16 made-up recordings (`tests/insight/test_topics.py`) falls from 0.23 to 0.18 by terms, and from 0.20 to 0.14
    by embeddings; boundaries at random have 0.50, evenly placed ones 0.43.
    """
    import numpy as np

    if not similarities.size:
        return similarities
    own = np.arange(len(similarities))
    first = np.searchsorted(places, places - window)
    after_last = np.searchsorted(places, places + window, side="right")
    left, right = _highest(similarities, first, own + 1), _highest(similarities, own, after_last)
    return np.asarray((left + right) / 2 - similarities)


def _highest(values: "Floats", first: "NDArray[np.intp]", after_last: "NDArray[np.intp]") -> "Floats":
    """The greatest of each range of `values`; none is empty."""
    import numpy as np

    # reduceat wants every bound inside, and reduces from each to the next: every second result is between two ranges.
    bounds = np.column_stack([first, after_last]).ravel()
    return np.asarray(np.maximum.reduceat(np.append(values, -np.inf), bounds)[::2])


# --- what is compared -----------------------------------------------------------------------------------------------


def _meanings(transcript: Transcript, sizes: "Floats", embedder: Embedder) -> "Floats":
    import numpy as np

    vectors = embedder.embed([segment.text for segment in transcript.segments]).astype(np.float64)
    # What all sentences of a recording share says nothing about where its topics shift.
    common = np.average(vectors, axis=0, weights=np.maximum(sizes, 1e-9))
    return np.asarray((vectors - common) * sizes[:, None])


def _terms(transcript: Transcript) -> "Floats":
    import numpy as np

    counts = [Counter(terms(segment.text, transcript.language)) for segment in transcript.segments]
    segments_with = Counter(term for counted in counts for term in counted)
    vectors = np.zeros((len(counts), _TERM_DIMENSIONS))
    for row, counted in zip(vectors, counts, strict=True):
        for term, count in counted.items():
            place, sign = divmod(crc32(term.encode()), 2)
            row[place % _TERM_DIMENSIONS] += (2 * sign - 1) * count * math.log(len(counts) / segments_with[term])
    return vectors
