"""A knowledge graph as files: GraphML for programs like Gephi and yEd, JSON as networkx and D3 read it; a PNG.

Labels come from what strangers said: here they are cleaned of what no XML and no reader can hold, and names take the
place of speaker labels. What does not belong here: how the picture is drawn (`graph_drawing`).
"""

import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transcribe_pipeline.export import graph_drawing
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight.names import named
from transcribe_pipeline.insights import GraphEdge, GraphNode, KnowledgeGraph

if TYPE_CHECKING:
    import networkx


def graphml(graph: KnowledgeGraph, names: Mapping[str, str]) -> bytes:
    """GraphML (http://graphml.graphdrawing.org/specification.html): a directed multigraph, since two things may be
    related in several ways. Lists are written as text: aliases with '; ', segments with spaces between.

    :param names: speaker label -> name.
    """
    import networkx

    made = _graph(graph, names)
    for _, attributes in made.nodes(data=True):
        attributes["aliases"] = "; ".join(attributes["aliases"])
        attributes["segments"] = " ".join(map(str, attributes["segments"]))
    for *_, attributes in made.edges(data=True):
        attributes["segments"] = " ".join(map(str, attributes["segments"]))
    file = io.BytesIO()
    networkx.write_graphml_xml(made, file, encoding="utf-8", prettyprint=True)
    return file.getvalue()


def json_graph(graph: KnowledgeGraph, names: Mapping[str, str]) -> bytes:
    """Node-link JSON, as `networkx.node_link_graph(..., edges="edges")` reads it.

    :param names: speaker label -> name.
    """
    import networkx

    document = networkx.node_link_data(_graph(graph, names), edges="edges")
    return json.dumps(document, ensure_ascii=False, indent=1).encode()


def graph_picture(graph: KnowledgeGraph, names: Mapping[str, str]) -> bytes:
    """PNG, 960 pixels wide: the weightiest 36 nodes.

    :param names: speaker label -> name.
    """
    return graph_drawing.png(graph, names)


def _graph(graph: KnowledgeGraph, names: Mapping[str, str]) -> "networkx.MultiDiGraph[str]":
    import networkx

    made: networkx.MultiDiGraph[str] = networkx.MultiDiGraph(
        transcript_id=clean(graph.transcript_id), language=clean(graph.language), made_by=graph.made_by.method
    )
    for node in graph.nodes:
        made.add_node(clean(node.id), **_of_node(node, names))
    for edge in graph.edges:
        made.add_edge(clean(edge.source), clean(edge.target), key=edge.kind, **_of_edge(edge))
    return made


def _of_node(node: GraphNode, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "label": clean(named(node.label, names)),
        "kind": node.kind,
        "weight": node.weight,
        "aliases": [clean(named(alias, names)) for alias in node.aliases],
        "segments": list(node.segments),
    }


def _of_edge(edge: GraphEdge) -> dict[str, Any]:
    return {"kind": edge.kind, "weight": edge.weight, "segments": list(edge.segments)}
