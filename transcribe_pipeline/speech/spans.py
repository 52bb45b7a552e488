"""Arithmetic on spans of time: (start, end) pairs in seconds."""

from collections.abc import Sequence

Span = tuple[float, float]
"""Start and end in seconds."""


def group_spans(spans: list[Span], limit: float) -> list[Span]:
    """Neighbouring spans joined, pauses included, as long as a group stays within `limit` seconds."""
    groups: list[Span] = []
    for start, end in spans:
        if groups and end - groups[-1][0] <= limit:
            groups[-1] = (groups[-1][0], end)
        else:
            groups.append((start, end))
    return groups


def covered_seconds(spans: Sequence[tuple[float, float]], cover: Sequence[tuple[float, float]]) -> float:
    """Seconds of `spans` (disjoint) that lie inside `cover` (any order, may overlap)."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(cover):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    total, position = 0.0, 0
    for start, end in sorted(spans):
        while position < len(merged) and merged[position][1] <= start:
            position += 1
        following = position
        while following < len(merged) and merged[following][0] < end:
            total += min(end, merged[following][1]) - max(start, merged[following][0])
            following += 1
    return total
