"""Who and what a recording speaks of, and how these are related: a graph that programs and people can walk through.

Nodes are speakers, people, organisations, places, topics, decisions and action items; edges are in `edges`. Offline,
names are told by their capitals (`proper_names`), topics are key phrases, decisions and action items are told by how
they are worded (`summary.cues`, English). A model adds what it finds (`reading`) and says of what kind a name is; all
of it has to be in the transcript. A name that nothing tells the kind of is a topic, if it is said twice.

A graph is for looking at: only the weightiest nodes and edges are kept (`_MOST`, `MOST_EDGES`).
"""

from collections.abc import Iterator, Sequence
from typing import Final

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight.key_phrases import key_phrases
from transcribe_pipeline.insight.knowledge_graph.edges import MOST_EVIDENCE, edges
from transcribe_pipeline.insight.knowledge_graph.entities import Entity
from transcribe_pipeline.insight.knowledge_graph.merging import key, merged
from transcribe_pipeline.insight.knowledge_graph.occurrences import Occurrences
from transcribe_pipeline.insight.knowledge_graph.proper_names import names
from transcribe_pipeline.insight.knowledge_graph.reading import found
from transcribe_pipeline.insight.making import best
from transcribe_pipeline.insight.summary.cues import cued
from transcribe_pipeline.insights import GraphEdge, GraphNode, KnowledgeGraph, NodeKind, Provenance
from transcribe_pipeline.language_models.port import LanguageModel

MOST_EDGES: Final = 300
_MOST: Final[dict[NodeKind, int]] = {
    "speaker": 24,
    "person": 30,
    "organisation": 20,
    "place": 20,
    "topic": 40,
    "decision": 20,
    "action item": 30,
}
_NAMED: Final = frozenset({None, "person", "organisation", "place"})
_SENTENCES: Final = frozenset({"decision", "action item"})
_KEY_PHRASES: Final = 30
_LEAST_SEGMENTS: Final = 2
_LONGEST_LABEL: Final = 160
"""Characters."""


def knowledge_graph(
    transcript: Transcript, transcript_id: str, *, models: Sequence[LanguageModel] = ()
) -> tuple[KnowledgeGraph, PipelineError | None]:
    """Offline, and with what the first model that manages adds to it. The same transcript gives the same offline graph.

    Nodes and edges come by weight, the heaviest first. A node's weight is the number of segments that have it (of a
    speaker: that they speak); an edge's how often it is seen.

    :return: also the last model's error, where it was made without one although there are some.
    """
    occurrences = Occurrences(transcript)
    offline = _offline(transcript, occurrences)

    def by_model(model: LanguageModel) -> KnowledgeGraph:
        read = found(transcript, occurrences, model)
        return _graph(transcript, transcript_id, occurrences, [*read.entities, *offline], read.made_by)

    return best(
        models if transcript.segments else (),
        by_model,
        lambda: _graph(transcript, transcript_id, occurrences, offline, Provenance(method="offline")),
    )


def _offline(transcript: Transcript, occurrences: Occurrences) -> list[Entity]:
    clear = [segment for segment in transcript.segments if not segment.doubts]
    phrases = key_phrases([segment.text for segment in clear], transcript.language, most=_KEY_PHRASES)
    marked = cued(transcript)
    return [
        *names(transcript),
        *(Entity("topic", phrase, occurrences.of([phrase])) for phrase, _ in phrases),
        *(Entity("decision", each.text, each.segments) for each in marked.decisions),
        *(Entity("action item", each.text, each.segments) for each in marked.action_items),
    ]


def _graph(
    transcript: Transcript,
    transcript_id: str,
    occurrences: Occurrences,
    entities: Sequence[Entity],
    made_by: Provenance,
) -> KnowledgeGraph:
    chosen = {_id(each): each for each in _chosen(transcript, occurrences, entities)}
    nodes = sorted((_node(name, each) for name, each in chosen.items()), key=lambda node: (-node.weight, node.id))
    related = edges(transcript, nodes, {name: each.segments for name, each in chosen.items()})
    return KnowledgeGraph(
        transcript_id=transcript_id,
        language=transcript.language,
        made_by=made_by,
        nodes=tuple(nodes),
        edges=tuple(_weightiest(related)),
    )


def _id(entity: Entity) -> str:
    if entity.kind in _SENTENCES:
        return f"{entity.kind}:{entity.segments[0]}"
    return f"{entity.kind}:{entity.label.casefold()}"


def _chosen(transcript: Transcript, occurrences: Occurrences, entities: Sequence[Entity]) -> Iterator[Entity]:
    """What becomes a node: each thing once, of every kind the most frequent."""
    by_kind: dict[NodeKind, list[Entity]] = {kind: [] for kind in _MOST}
    for each in (*_speakers(transcript), *_things(occurrences, entities), *_sentences(entities)):
        if each.kind and each.segments:
            by_kind[each.kind].append(each)
    for kind, alike in by_kind.items():
        yield from sorted(alike, key=lambda each: (-len(each.segments), each.segments, each.label))[: _MOST[kind]]


def _speakers(transcript: Transcript) -> Iterator[Entity]:
    spoken: dict[str, list[int]] = {}
    for segment in transcript.segments:
        if segment.speaker:
            spoken.setdefault(segment.speaker, []).append(segment.id)
    return (Entity("speaker", label, tuple(segments)) for label, segments in spoken.items())


def _things(occurrences: Occurrences, entities: Sequence[Entity]) -> Iterator[Entity]:
    """Names and topics. A topic that is a name is that name, and one that is made of names ('Ann agreed') is none."""
    named = merged((each for each in entities if each.kind in _NAMED), occurrences.words)
    topics = merged((each for each in entities if each.kind == "topic"), occurrences.words)
    topical = {key(form, occurrences.words) for topic in topics for form in topic.forms}
    kept = [
        each if each.kind else each.of_kind("topic")
        for each in named
        if each.kind or len(each.segments) >= _LEAST_SEGMENTS or topical & _keys(each, occurrences)
    ]
    yield from kept
    for topic in topics:
        is_said_twice = len(topic.segments) >= _LEAST_SEGMENTS or " " in topic.label
        if is_said_twice and not any(_is_of(topic, name, occurrences) for name in kept):
            yield topic


def _keys(entity: Entity, occurrences: Occurrences) -> set[tuple[str, ...]]:
    return {key(form, occurrences.words) for form in entity.forms}


def _is_of(topic: Entity, name: Entity, occurrences: Occurrences) -> bool:
    """Has a topic nothing of its own: words of a person's name, all of another's, or only some, and only there?"""
    words = key(topic.label, occurrences.words)
    for form in _keys(name, occurrences):
        if name.kind == "person" and not set(words).isdisjoint(form):
            return True
        if _has(words, form) or (_has(form, words) and set(topic.segments) <= set(name.segments)):
            return True
    return False


def _has(words: tuple[str, ...], part: tuple[str, ...]) -> bool:
    return any(words[i : i + len(part)] == part for i in range(len(words) - len(part) + 1))


def _sentences(entities: Sequence[Entity]) -> Iterator[Entity]:
    """Decisions and action items; where a segment has several, one, since they come in several wordings."""
    told: set[tuple[NodeKind | None, int]] = set()
    for each in entities:
        where = {(each.kind, segment) for segment in each.segments}
        if each.kind in _SENTENCES and where.isdisjoint(told):
            told |= where
            yield each


def _node(name: str, entity: Entity) -> GraphNode:
    assert entity.kind
    return GraphNode(
        id=name,
        kind=entity.kind,
        label=_shortened(clean(entity.label)),
        aliases=tuple(clean(alias) for alias in entity.aliases),
        weight=float(len(entity.segments)),
        segments=entity.segments[:MOST_EVIDENCE],
    )


def _shortened(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


def _weightiest(related: Sequence[GraphEdge]) -> list[GraphEdge]:
    """Each node's weightiest, so that none is cut off, and then the rest, up to `MOST_EDGES`."""
    ranked = sorted(related, key=lambda edge: (-edge.weight, edge.source, edge.target, edge.kind))
    first: dict[str, GraphEdge] = {}
    for edge in ranked:
        first.setdefault(edge.source, edge)
        first.setdefault(edge.target, edge)
    kept = list(dict.fromkeys([*first.values(), *ranked]))[:MOST_EDGES]
    return sorted(kept, key=lambda edge: (-edge.weight, edge.source, edge.target, edge.kind))
