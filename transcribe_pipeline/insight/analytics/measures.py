"""Measures of tokens and of numbers alone: diversity, distribution, dominance. Pure functions, each with its source."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from transcribe_pipeline.insights import Distribution

_MTLD_TTR: Final = 0.72
_MTLD_TOKENS: Final = 50


def mtld(tokens: Sequence[str]) -> float | None:
    """Measure of textual lexical diversity: the mean number of tokens over which the share of different ones stays
    above 0.72, read forwards and backwards. It hardly depends on the length of the text, as the share itself does.

    McCarthy, P. M., Jarvis, S. (2010): MTLD, vocd-D, and HD-D: a validation study of sophisticated approaches to
    lexical diversity assessment. Behavior Research Methods 42. Steady from 100 tokens on (Koizumi 2012: Relationships
    between text length and lexical diversity measures. Vocabulary Learning and Instruction 1), rough from 50. Words as
    they are written, not their stems: only texts of one language compare.

    :return: None for less than 50 tokens, or where none is said twice.
    """
    if len(tokens) < _MTLD_TOKENS:
        return None
    factors = _factors(tokens), _factors(reversed(tokens))
    if not all(factors):
        return None
    return sum(len(tokens) / each for each in factors) / 2


def _factors(tokens: Iterable[str]) -> float:
    """Stretches after which the share of types has fallen below the threshold; the rest counts as far as it got."""
    factors, length = 0.0, 0
    types: set[str] = set()
    for token in tokens:
        length += 1
        types.add(token)
        if len(types) / length < _MTLD_TTR:
            factors += 1
            length = 0
            types.clear()
    return factors + ((1 - len(types) / length) / (1 - _MTLD_TTR) if length else 0.0)


def distribution(values: Iterable[float]) -> Distribution | None:
    """None without values. Percentiles are interpolated (type 7 of Hyndman & Fan 1996, as numpy's default)."""
    ordered = sorted(values)
    if not ordered:
        return None
    return Distribution(
        count=len(ordered),
        mean=math.fsum(ordered) / len(ordered),
        median=_quantile(ordered, 0.5),
        p95=_quantile(ordered, 0.95),
        longest=ordered[-1],
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def dominance(seconds: Sequence[float]) -> float | None:
    """How unevenly talk is shared: 1 - H / log n, where H is Shannon's entropy of n speakers' shares and H / log n
    Pielou's evenness (Pielou, E. C. 1966: The measurement of diversity in different types of biological collections.
    J. of Theoretical Biology 13).

    :param seconds: everybody's talk time.
    :return: 0: all talk alike, 1: one talks alone; None for less than two speakers, or if nobody talks.
    """
    whole = math.fsum(seconds)
    if len(seconds) < 2 or whole <= 0:
        return None
    shares = [each / whole for each in seconds if each > 0]
    entropy = -math.fsum(share * math.log(share) for share in shares)
    return min(max(1 - entropy / math.log(len(seconds)), 0.0), 1.0)
