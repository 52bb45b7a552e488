"""Measures of tokens and of numbers, by hand and by other implementations."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transcribe_pipeline.insight.analytics.measures import distribution, dominance, mtld

# --- MTLD -----------------------------------------------------------------------------------------------------------


def test_mtld_by_hand() -> None:
    """'of the people by the people | for the people' is the example of McCarthy & Jarvis 2010: the share of types is
    4/6 = 0.667 after the sixth word, which is a factor."""
    text = ["of", "the", "people", "by", "the", "people"] * 10
    # Forwards: a factor every 6 words. Backwards ('people the by people the of'): 4/5 = 0.8 at the fifth, 0.667 at the
    # sixth, the same. 60 words / 10 factors.
    assert mtld(text) == pytest.approx(6)
    # 'a a': 1/2, a factor every two words.
    assert mtld(["a"] * 50) == pytest.approx(2)
    # The last word of 50 is said twice. Forwards: 49 types, share 0.98, (1 - 0.98) / (1 - 0.72) of a factor, 700 words.
    # Backwards the first two words are a factor, and the other 48 different: 50 words.
    assert mtld([*map(str, range(49)), "48"]) == pytest.approx((700 + 50) / 2)


def test_mtld_cannot_be_told_of_little_or_without_a_repetition() -> None:
    assert mtld(["a"] * 49) is None
    assert mtld([str(n) for n in range(60)]) is None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), min_size=50, max_size=300))
def test_mtld_does_not_depend_on_direction_or_on_the_words_themselves(text: list[str]) -> None:
    assert mtld(text) == pytest.approx(mtld(text[::-1]))
    assert mtld(text) == pytest.approx(mtld([f"<{word}>" for word in text]))


def test_mtld_hardly_depends_on_length_and_rises_with_vocabulary() -> None:
    chance = random.Random(5)
    poor, rich = ([chance.choice(range(size)) for _ in range(4000)] for size in (50, 500))
    of = [mtld([str(word) for word in text]) or 0.0 for text in (poor, poor[:400], rich, rich[:400])]
    assert of[0] == pytest.approx(of[1], rel=0.25)
    assert of[2] == pytest.approx(of[3], rel=0.25)
    assert of[2] > 5 * of[0]


# --- numbers --------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_distributions_are_numpys(values: list[float]) -> None:
    found = distribution(values)
    assert found
    assert found.count == len(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-6)
    assert found.median == pytest.approx(np.median(values), abs=1e-6)
    assert found.p95 == pytest.approx(np.percentile(values, 95), abs=1e-6)
    assert found.longest == max(values)


def test_no_values_have_no_distribution() -> None:
    assert distribution([]) is None


def test_dominance() -> None:
    assert dominance([10, 10, 10]) == pytest.approx(0)
    assert dominance([10, 0]) == 1
    # Shares 3/4 and 1/4: entropy 0.8113 bits of at most 1.
    assert dominance([30, 10]) == pytest.approx(1 - (2 - 0.75 * math.log2(3)))
    assert dominance([10]) is None
    assert dominance([0, 0]) is None
