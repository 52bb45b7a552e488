"""Arithmetic on spans of time."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from transcribe_pipeline.speech.spans import covered_seconds, group_spans

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
def test_groups_hold_all_spans_in_order_and_are_as_long_as_allowed(spans, limit):
    groups = group_spans(spans, limit)
    assert [start for start, _ in groups] == sorted({start for start, _ in groups})
    for start, end in groups:
        assert end - start <= limit or (start, end) in spans  # a single span is never cut
    for left, right in pairwise(groups):
        first = next(span for span in spans if span[0] == right[0])
        assert first[1] - left[0] > limit  # it would not have fitted
    assert covered_seconds(spans, groups) == sum(end - start for start, end in spans)


def test_no_spans():
    assert group_spans([], 30) == []
    assert covered_seconds([], [(0, 1)]) == covered_seconds([(0, 1)], []) == 0
