"""Which sentences of a transcript say most of what is said: those that are most like the others.

LexRank (Erkan and Radev, "LexRank: Graph-based Lexical Centrality as Salience in Text Summarization", JAIR 22, 2004):
sentences are the nodes of a graph, their cosine similarity by TF-IDF is the edges' weight, and a sentence matters as a
page does in PageRank. Compared is within blocks of the recording, then among the best of each block, so that ten hours
take ten times as long as one.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

from transcribe_pipeline.artifacts import Transcript, TranscriptSegment
from transcribe_pipeline.insight import plain_text
from transcribe_pipeline.insight.terms import terms
from transcribe_pipeline.text.words import size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK: Final = 200
"""Sentences that are compared with each other: about a quarter of an hour."""
_WINNERS: Final = 20
"""Of a block, that are compared with those of other blocks."""
_LEAST_SIMILARITY: Final = 0.1
_DAMPING: Final = 0.85
"""Both as in the paper."""
_ROUNDS: Final = 50
_FEWEST_WORDS: Final = 6
_MOST_WORDS: Final = 45
"""Shorter sentences say too little by themselves, longer ones are a recogniser's run-on. In languages without spaces
these are characters, doubled."""
_SAME: Final = 0.6
"""Share of the shorter sentence's terms that the other has too, from which it says the same."""


class Ranking:
    """Sentences of one transcript, by how much they say of it."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript

    @cached_property
    def order(self) -> list[int]:
        """Ids of the segments that may be quoted and say most of the recording, best first; some of each part of it."""
        candidates = self._quotable
        while len(candidates) > _BLOCK:
            blocks = [candidates[i : i + _BLOCK] for i in range(0, len(candidates), _BLOCK)]
            candidates = sorted(each for block in blocks for each in self._ranked(block)[:_WINNERS])
        return self._ranked(candidates)

    def best_of(self, segments: Iterable[int], most: int) -> list[int]:
        """Of these segments, best first, none that says what a better one says."""
        wanted = [each for each in segments if each in self._scores]
        return self._distinct(sorted(wanted, key=lambda each: (-self._scores[each], each)), most)

    def best(self, most: int, *, without: Sequence[int] = ()) -> list[int]:
        """Of the whole recording, best first, none that says what a better one, or one of `without`, says."""
        return self._distinct([each for each in self.order if each not in without], most, without)

    def _distinct(self, ranked: Iterable[int], most: int, without: Sequence[int] = ()) -> list[int]:
        kept: list[int] = []
        for each in ranked:
            if len(kept) == most:
                break
            if not any(self._say_the_same(each, other) for other in (*without, *kept)):
                kept.append(each)
        return kept

    def _say_the_same(self, one: int, other: int) -> bool:
        first, second = set(self._terms[one]), set(self._terms[other])
        return len(first & second) >= _SAME * min(len(first), len(second))

    @cached_property
    def _quotable(self) -> list[int]:
        """Segments that can stand for themselves; if none can, all that are fit to be shown."""
        fit = [each for each in self._transcript.segments if is_fit(each) and self._terms[each.id]]
        return [each.id for each in fit if self._stands_alone(each)] or [each.id for each in fit]

    def _stands_alone(self, segment: TranscriptSegment) -> bool:
        length = sum(size(word.text, self._transcript.language) for word in segment.words)
        return _FEWEST_WORDS <= length <= _MOST_WORDS and len(set(self._terms[segment.id])) > 2

    @cached_property
    def _terms(self) -> list[list[str]]:
        return [terms(segment.text, self._transcript.language) for segment in self._transcript.segments]

    @cached_property
    def _rarity(self) -> dict[str, float]:
        found_in = Counter(term for listed in self._terms for term in set(listed))
        return {term: math.log((1 + len(self._terms)) / count) for term, count in found_in.items()}

    @cached_property
    def _scores(self) -> dict[int, float]:
        """Of every quotable segment, within its block."""
        made: dict[int, float] = {}
        for i in range(0, len(self._quotable), _BLOCK):
            block = self._quotable[i : i + _BLOCK]
            made.update(zip(block, _centrality(self._vectors(block)).tolist(), strict=True))
        return made

    def _ranked(self, block: Sequence[int]) -> list[int]:
        scores = _centrality(self._vectors(block)).tolist()
        return [each for _, each in sorted(zip((-score for score in scores), block, strict=True))]

    def _vectors(self, block: Sequence[int]) -> "NDArray[np.float64]":
        """TF-IDF, of unit length: (sentences, terms of the block)."""
        import numpy as np

        columns: dict[str, int] = {}
        for each in block:
            for term in self._terms[each]:
                columns.setdefault(term, len(columns))
        vectors = np.zeros((len(block), len(columns)))
        for row, each in zip(vectors, block, strict=True):
            for term in self._terms[each]:
                row[columns[term]] += self._rarity[term]
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def is_fit(segment: TranscriptSegment) -> bool:
    """May this be shown as it was said: trusted, and plain text?"""
    return not segment.doubts and plain_text.objection(segment.text) is None


def _centrality(vectors: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Of each sentence; rounded, so that ties are ties on every machine.

    Jumps lead to sentences in proportion to their degree, and not to all alike: by links alone two sentences that only
    resemble each other would matter as much as any of twenty that do.
    """
    import numpy as np

    similarity = vectors @ vectors.T
    similarity[similarity < _LEAST_SIMILARITY] = 0.0
    np.fill_diagonal(similarity, 0.0)
    degree = similarity.sum(axis=1)
    if not degree.any():
        return np.ones(len(vectors))
    steps = similarity / np.where(degree, degree, 1.0)[:, None]
    rank = jumps = degree / degree.mean()
    for _ in range(_ROUNDS):
        rank = (1 - _DAMPING) * jumps + _DAMPING * (rank @ steps)
    return np.asarray(np.round(rank, 6))
