"""Arithmetic on spans of time."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transcribe_pipeline.speech.spans import covered_seconds, group_spans, with_margins

# Whole numbers, so that a brute-force count of seconds is exact.
edges = st.lists(st.integers(0, 60), unique=True, max_size=20).map(sorted)
disjoint = edges.map(lambda found: list(zip(found[::2], found[1::2], strict=False)))
any_spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda s: (s[0], s[0] + s[1])), max_size=12)


@settings(deadline=None)
@given(disjoint, any_spans)
def test_covered_seconds_counts_each_second_once(spans, cover):
    brute_force = sum(
        any(start <= second < end for start, end in spans) and any(start <= second < end for start, end in cover)
        for second in range(100)
    )
    assert covered_seconds(spans, cover) == brute_force


@settings(deadline=None)
@given(disjoint, st.integers(1, 40))
def test_groups_hold_all_spans_in_order_and_are_never_too_long(spans, limit):
    groups = group_spans(spans, limit)
    assert all(end - start <= limit + 1e-9 for start, end in groups)
    assert all(left[1] <= right[0] + 1e-9 for left, right in pairwise(groups))
    assert covered_seconds(spans, groups) == pytest.approx(sum(end - start for start, end in spans))
    for left, right in pairwise(groups):
        # No group is so short that its successor's beginning would still have been looked for in it.
        assert right[0] - left[0] > 0.6 * limit or right[1] - left[0] > limit


def test_groups_end_at_the_longest_pause():
    assert group_spans([(0, 10), (10.2, 20), (21.5, 25), (25.2, 29), (29.1, 40)], 30) == [(0, 20), (21.5, 40)]
    # A pause at the beginning would waste most of the group.
    assert group_spans([(0, 5), (9, 20), (20.1, 29), (29.1, 40)], 30)[0] == (0, 29)


def test_what_fits_stays_together():
    assert group_spans([(0, 10), (18, 20), (21, 29)], 30) == [(0, 29)]


def test_margins_share_short_pauses():
    assert with_margins([(1, 5), (5.2, 8), (12, 14.9)], 0.4, 15.0) == [(0.6, 5.1), (5.1, 8.4), (11.6, 15.0)]


def test_no_spans():
    assert group_spans([], 30) == []
    assert covered_seconds([], [(0, 1)]) == covered_seconds([(0, 1)], []) == 0
