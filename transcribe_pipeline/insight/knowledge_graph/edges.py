"""How the things of a recording are related, as far as the transcript shows: counted from segments, never claimed.

- A speaker *mentions* a person, organisation, place, decision or action item, and *speaks about* a topic: in so many
  segments.
- Two things *co-occur*: so many times both are said in one segment, or one in a segment and the other in the next.
- A speaker *follows* another: speaks next, so many times. A decision or action item *follows* the topics that are
  spoken of last before it, in its own segment or one of the five before.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise, product
from typing import Final

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insights import EdgeKind, GraphEdge, GraphNode

MOST_EVIDENCE: Final = 50
"""Segments kept for a node or an edge, the first; its weight counts all."""
_LOOK_BACK: Final = 5
_MOST_IN_A_SEGMENT: Final = 12
"""Nodes, the weightiest: a segment that lists hundreds would relate each to each."""

_Seen = tuple[str, str, EdgeKind, tuple[int, ...]]
"""Source, target, kind and segments of one occurrence."""


def edges(transcript: Transcript, nodes: Sequence[GraphNode], places: Mapping[str, Sequence[int]]) -> list[GraphEdge]:
    """Linear in the number of segments.

    :param nodes: the weightiest first.
    :param places: node id -> all segments that it occurs in, speakers excepted.
    """
    speakers = {node.label: node.id for node in nodes if node.kind == "speaker"}
    kinds = {node.id: node.kind for node in nodes}
    here = _by_segment(len(transcript.segments), [node.id for node in nodes if node.kind != "speaker"], places)
    times: dict[tuple[str, str, EdgeKind], int] = defaultdict(int)
    evidence: dict[tuple[str, str, EdgeKind], set[int]] = defaultdict(set)
    for found in (
        _said(transcript, here, speakers, kinds),
        _together(here),
        _turns(transcript, speakers),
        _led_to(here, kinds),
    ):
        for source, target, kind, segments in found:
            times[source, target, kind] += 1
            evidence[source, target, kind].update(segments)
    return [
        GraphEdge(
            source=source,
            target=target,
            kind=kind,
            weight=float(count),
            segments=tuple(sorted(evidence[source, target, kind])[:MOST_EVIDENCE]),
        )
        for (source, target, kind), count in times.items()
    ]


def _by_segment(segments: int, nodes: Sequence[str], places: Mapping[str, Sequence[int]]) -> list[list[str]]:
    here: list[list[str]] = [[] for _ in range(segments)]
    for node in nodes:
        for segment in places[node]:
            if len(here[segment]) < _MOST_IN_A_SEGMENT:
                here[segment].append(node)
    return here


def _said(
    transcript: Transcript, here: Sequence[Sequence[str]], speakers: Mapping[str, str], kinds: Mapping[str, str]
) -> Iterator[_Seen]:
    for segment, nodes in zip(transcript.segments, here, strict=True):
        speaker = speakers.get(segment.speaker or "")
        for node in nodes if speaker else ():
            yield speaker or "", node, "speaks about" if kinds[node] == "topic" else "mentions", (segment.id,)


def _together(here: Sequence[Sequence[str]]) -> Iterator[_Seen]:
    for segment, nodes in enumerate(here):
        for left, right in combinations(sorted(nodes), 2):
            yield left, right, "co-occurs", (segment,)
    for segment, (nodes, following) in enumerate(pairwise(here)):
        for one, other in product(nodes, following):
            if one not in following and other not in nodes:
                yield min(one, other), max(one, other), "co-occurs", (segment, segment + 1)


def _turns(transcript: Transcript, speakers: Mapping[str, str]) -> Iterator[_Seen]:
    for before, after in pairwise(transcript.segments):
        source, target = speakers.get(after.speaker or ""), speakers.get(before.speaker or "")
        if source and target and source != target:
            yield source, target, "follows", (before.id, after.id)


def _led_to(here: Sequence[Sequence[str]], kinds: Mapping[str, str]) -> Iterator[_Seen]:
    last_said = -1
    topics: list[str] = []
    for segment, nodes in enumerate(here):
        if found := [node for node in nodes if kinds[node] == "topic"]:
            last_said, topics = segment, found
        for node in nodes:
            if kinds[node] in ("decision", "action item") and topics and segment - last_said <= _LOOK_BACK:
                for topic in topics:
                    yield node, topic, "follows", (last_said, segment) if last_said < segment else (segment,)
