"""Knowledge graphs as files: read back by networkx, and looked at."""

import io
import json
from itertools import pairwise
from xml.etree import ElementTree

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.export.strategies import NASTY
from tests.insight.recordings import meeting, spoken
from transcribe_pipeline.export import graph_drawing
from transcribe_pipeline.export.graph_files import graph_picture, graphml, json_graph
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight.knowledge_graph import knowledge_graph
from transcribe_pipeline.insights import GraphEdge, GraphNode, KnowledgeGraph, Provenance

NAMES = {"SPEAKER_00": "Ann & Söhne", "SPEAKER_01": "<b>Bob</b>"}


def graph_of(labels, kind="topic"):
    nodes = [
        GraphNode(id=f"{kind}:{i}", kind=kind, label=label, aliases=(label,), weight=i + 1, segments=(0, i + 1))
        for i, label in enumerate(labels)
    ]
    edges = [
        GraphEdge(source=left.id, target=right.id, kind="co-occurs", weight=1, segments=(1,))
        for left, right in pairwise(nodes)
    ]
    return KnowledgeGraph(
        transcript_id="t1", language="en", made_by=Provenance(method="offline"), nodes=tuple(nodes), edges=tuple(edges)
    )


@pytest.fixture(scope="module")
def graph():
    return knowledge_graph(meeting(), "t1")[0]


def read_graphml(data):
    return networkx.read_graphml(io.BytesIO(data), force_multigraph=True)


def read_json(data):
    return networkx.node_link_graph(json.loads(data), edges="edges")


@pytest.mark.parametrize(("write", "read"), [(graphml, read_graphml), (json_graph, read_json)])
def test_networkx_reads_all_of_it(graph, write, read):
    made = read(write(graph, NAMES))
    assert made.is_directed()
    assert made.is_multigraph()
    assert set(made) == {node.id for node in graph.nodes}
    assert {(*ends, each["kind"], each["weight"]) for *ends, each in made.edges(data=True)} == {
        (edge.source, edge.target, edge.kind, edge.weight) for edge in graph.edges
    }
    helen = next(each for _, each in made.nodes(data=True) if each["label"] == "Helen")
    assert (helen["kind"], helen["weight"]) == ("person", 3.0)
    assert made.nodes["speaker:speaker_00"]["label"] == "Ann & Söhne"
    assert made.graph["transcript_id"] == "t1"


def test_evidence_and_aliases_are_in_it():
    made = graph_of(["one", "two"])
    assert read_json(json_graph(made, {})).nodes["topic:1"]["segments"] == [0, 2]
    assert read_json(json_graph(made, {})).nodes["topic:1"]["aliases"] == ["two"]
    assert read_graphml(graphml(made, {})).nodes["topic:1"]["segments"] == "0 2"


def test_names_stand_within_decisions_too():
    made = graph_of(["SPEAKER_00 pays SPEAKER_02."], "decision")
    assert read_json(json_graph(made, NAMES)).nodes["decision:0"]["label"] == "Ann & Söhne pays SPEAKER_02."


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(NASTY) | st.text(max_size=20), min_size=1, max_size=6), st.sampled_from([*NASTY, "Ann"])
)
def test_hostile_labels_stay_labels(labels, name):
    made = graph_of([*labels, "SPEAKER_00"])
    for read in (read_graphml(graphml(made, {"SPEAKER_00": name})), read_json(json_graph(made, {"SPEAKER_00": name}))):
        shown = [read.nodes[node.id]["label"] for node in made.nodes]
        assert shown[:-1] == [clean(label) for label in labels]
        assert len(read) == len(labels) + 1
    ElementTree.fromstring(graphml(made, {}))


def test_no_entity_and_no_document_type_in_the_xml():
    assert b"<!" not in graphml(graph_of(["<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;"]), {})


class TestPicture:
    def test_a_picture(self, graph):
        picture = Image.open(io.BytesIO(graph_picture(graph, NAMES)))
        assert picture.format == "PNG"
        assert picture.size == (960, 670)
        assert len(graph_picture(graph, NAMES)) < 100_000

    def test_always_the_same(self, graph):
        assert graph_picture(graph, NAMES) == graph_picture(graph, NAMES)

    def test_the_names_are_in_it(self, graph):
        assert graph_picture(graph, NAMES) != graph_picture(graph, {})

    def test_every_kind_has_its_colour_in_it(self):
        made = knowledge_graph(
            spoken("0 Ask Ann Lee.\n1 We decided to visit Madrid.\n1 I work for Acme. I'll write to Ann Lee."), "t"
        )[0]
        kinds = {node.kind for node in made.nodes}
        assert {"speaker", "person", "place", "organisation", "decision"} <= kinds
        seen = {
            colour for _, colour in Image.open(io.BytesIO(graph_picture(made, {}))).convert("RGB").getcolors(100_000)
        }
        for kind in kinds:
            wanted = bytes.fromhex(graph_drawing._LOOKS[kind].colour[1:])
            assert any(max(abs(a - b) for a, b in zip(colour, wanted, strict=True)) < 12 for colour in seen), kind

    def test_no_label_covers_another_and_none_leaves_the_picture(self, graph):
        nodes = graph_drawing._shown(graph.nodes)
        assert len(nodes) > 30
        labels = [graph_drawing._label(node, {}) for node in nodes]
        edges = graph_drawing._among(graph.edges, nodes)
        boxes = graph_drawing._apart(graph_drawing._placed(nodes, edges, labels, graph_drawing._radii(nodes)))
        for i, box in enumerate(boxes):
            assert 0 <= box.x - box.half_width < box.x + box.half_width <= 960
            assert 0 <= box.y - box.above < box.y + box.below <= 640
            for other in boxes[i + 1 :]:
                assert min(graph_drawing._overlap(box, other)) <= 0.5

    def test_bounded_however_large_the_graph(self):
        made = graph_of([f"topic number {i} of very many" for i in range(300)])
        assert len(graph_picture(made, {})) < 100_000
        assert len(graph_drawing._shown(made.nodes)) == 36

    @pytest.mark.parametrize(
        "labels", [[], ["alone"], ["日本銀行", "政策金利"], [label for label in NASTY if label.strip()]]
    )
    def test_anything_can_be_drawn(self, labels):
        assert graph_picture(graph_of(labels), {}).startswith(b"\x89PNG")
