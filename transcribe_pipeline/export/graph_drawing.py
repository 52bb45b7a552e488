"""A knowledge graph as a picture for people: the weightiest things of a recording, and what holds them together.

Kinds are told by shape, the colour only repeats it. Labels stand below their shapes and are moved apart until none
covers another, where there is room. The same graph gives the same picture.
"""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from transcribe_pipeline.export.canvas import PngCanvas, text_width
from transcribe_pipeline.export.colours import SPEAKER_COLOURS
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight.names import named
from transcribe_pipeline.insights import EdgeKind, GraphEdge, GraphNode, KnowledgeGraph, NodeKind

_WIDTH, _HEIGHT, _LEGEND = 960, 640, 30
_MARGIN: Final = 8
_MOST_NODES: Final = 36
_MOST_EDGES: Final = 90
"""More of either, and lines hide what they join."""
_MOST_SPEAKERS: Final = 10
_LONGEST_LABEL: Final = 26
"""Characters."""
_LEAST_RADIUS, _MOST_RADIUS = 5, 13
_LABEL_HEIGHT: Final = 14
_FINER: Final = 2
"""Shapes are drawn so many times larger and scaled down, which makes their edges smooth."""
_ROUNDS: Final = 200
_SEED: Final = 1
_SPREAD: Final = 4.0
"""Times the distance that nodes would have on a grid; with less the middle of a dense graph is a knot."""


class _Look(NamedTuple):
    colour: str
    corners: int
    """0: a disc."""
    rotation: int
    """Degrees."""


_LOOKS: Final[dict[NodeKind, _Look]] = {
    "speaker": _Look(SPEAKER_COLOURS[0], 4, 0),
    "person": _Look(SPEAKER_COLOURS[1], 0, 0),
    "organisation": _Look(SPEAKER_COLOURS[2], 4, 45),
    "place": _Look(SPEAKER_COLOURS[3], 3, 0),
    "topic": _Look(SPEAKER_COLOURS[4], 6, 0),
    "decision": _Look(SPEAKER_COLOURS[5], 5, 0),
    "action item": _Look(SPEAKER_COLOURS[7], 3, 180),
}
_LINES: Final[dict[EdgeKind, tuple[str, bool]]] = {
    "mentions": ("#8A8A8A", False),
    "speaks about": ("#8A8A8A", False),
    "co-occurs": ("#D9D9D9", False),
    "follows": ("#444444", True),
}
"""Colour, and whether it is dashed."""
_LINES_EXPLAINED: Final = "grey: says · pale: said together · dashed: comes after"


class _Box(NamedTuple):
    """A shape with its label below; x and y are the middle of the shape."""

    x: float
    y: float
    half_width: float
    above: float
    below: float


class _GraphCanvas(PngCanvas):
    """A PNG on which shapes and slanting lines are drawn smoothly, before the text."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width * _FINER, height * _FINER)

    def line(self, start: tuple[float, float], end: tuple[float, float], width: int, colour: str, dashed: bool) -> None:
        (x, y), (x2, y2) = start, end
        pieces = max(int(math.hypot(x2 - x, y2 - y) / 8), 1) if dashed else 1
        for piece in range(pieces):
            first, last = piece / pieces, (piece + (0.6 if dashed else 1)) / pieces
            ends = [(x + (x2 - x) * part, y + (y2 - y) * part) for part in (first, last)]
            self._draw.line([(a * _FINER, b * _FINER) for a, b in ends], fill=colour, width=width)

    def shape(self, x: float, y: float, radius: int, look: _Look) -> None:
        x, y, radius = x * _FINER, y * _FINER, radius * _FINER
        if look.corners:
            around = (x, y, radius * 1.15)
            self._draw.regular_polygon(around, look.corners, look.rotation, fill=look.colour, outline="#FFFFFF")
        else:
            self._draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=look.colour, outline="#FFFFFF")

    def smooth(self) -> None:
        from PIL import Image, ImageDraw

        width, height = self._image.size
        self._image = self._image.resize((width // _FINER, height // _FINER), Image.Resampling.LANCZOS)
        self._draw = ImageDraw.Draw(self._image)

    def document(self) -> bytes:
        # Median cut, which plots use, would give rare kinds a neighbour's colour.
        from PIL import Image

        buffer = io.BytesIO()
        self._image.quantize(256, Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
        return buffer.getvalue()


def png(graph: KnowledgeGraph, names: Mapping[str, str]) -> bytes:
    """:param names: speaker label -> name."""
    nodes = _shown(graph.nodes)
    edges = _among(graph.edges, nodes)
    labels = [_label(node, names) for node in nodes]
    radii = _radii(nodes)
    boxes = _apart(_placed(nodes, edges, labels, radii))
    at = {node.id: (box.x, box.y) for node, box in zip(nodes, boxes, strict=True)}
    canvas = _GraphCanvas(_WIDTH, _HEIGHT + _LEGEND)
    for edge in sorted(edges, key=lambda edge: edge.kind != "co-occurs"):
        colour, dashed = _LINES[edge.kind]
        width = _FINER + round(_FINER * min(math.log2(edge.weight + 1), 4) / 2)
        canvas.line(at[edge.source], at[edge.target], width, colour, dashed)
    for node, box, radius in zip(nodes, boxes, radii, strict=True):
        canvas.shape(box.x, box.y, radius, _LOOKS[node.kind])
    kinds = _kinds(nodes)
    for kind, left in kinds.items():
        canvas.shape(left, _HEIGHT + _LEGEND // 2, _LEAST_RADIUS, _LOOKS[kind])
    canvas.smooth()
    for number, (node, box, label) in enumerate(zip(nodes, boxes, labels, strict=True), start=1):
        left, top = round(box.x - box.half_width) + 2, round(box.y + box.below) - _LABEL_HEIGHT
        canvas.spans([(left, round(2 * box.half_width) - 4)], top, _LABEL_HEIGHT, "#FFFFFF")
        canvas.text(round(box.x), top + _LABEL_HEIGHT // 2, label, "middle", instead=f"{node.kind} {number}")
    for kind, left in kinds.items():
        canvas.text(left + 10, _HEIGHT + _LEGEND // 2, kind, tone="faint")
    if edges:
        canvas.text(_WIDTH - _MARGIN, _HEIGHT + _LEGEND // 2, _LINES_EXPLAINED, "end", "faint")
    return canvas.document()


# --- what is shown --------------------------------------------------------------------------------------------------


def _shown(nodes: Sequence[GraphNode]) -> list[GraphNode]:
    """The weightiest; speakers talk in more segments than anything is said in, so they are counted apart."""
    speakers = [node for node in nodes if node.kind == "speaker"][:_MOST_SPEAKERS]
    others = [node for node in nodes if node.kind != "speaker"][: _MOST_NODES - len(speakers)]
    return [*speakers, *others]


def _among(edges: Sequence[GraphEdge], nodes: Sequence[GraphNode]) -> list[GraphEdge]:
    """The weightiest between nodes that are shown, one for each pair, and one for each node that has any."""
    ids = {node.id for node in nodes}
    pairs: dict[frozenset[str], GraphEdge] = {}
    for edge in edges:
        if edge.source in ids and edge.target in ids and edge.source != edge.target:
            pairs.setdefault(frozenset((edge.source, edge.target)), edge)
    joining: dict[str, GraphEdge] = {}
    for edge in pairs.values():
        joining.setdefault(edge.source, edge)
        joining.setdefault(edge.target, edge)
    kept = {(edge.source, edge.target): edge for edge in [*joining.values(), *pairs.values()]}
    return list(kept.values())[:_MOST_EDGES]


def _label(node: GraphNode, names: Mapping[str, str]) -> str:
    label = clean(named(node.label, names))
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1].rstrip()}…"


def _radii(nodes: Sequence[GraphNode]) -> list[int]:
    """The area goes by weight, among speakers and among the rest."""
    heaviest = {
        is_speaker: max((node.weight for node in nodes if (node.kind == "speaker") is is_speaker), default=1.0)
        for is_speaker in (True, False)
    }
    shares = (math.sqrt(node.weight / heaviest[node.kind == "speaker"]) for node in nodes)
    return [round(_LEAST_RADIUS + share * (_MOST_RADIUS - _LEAST_RADIUS)) for share in shares]


def _kinds(nodes: Sequence[GraphNode]) -> dict[NodeKind, int]:
    """Those to be explained -> left edge."""
    places: dict[NodeKind, int] = {}
    left = _MARGIN + _LEAST_RADIUS
    for kind in _LOOKS:
        if any(node.kind == kind for node in nodes):
            places[kind] = left
            left += text_width(kind) + 36
    return places


# --- where it stands ------------------------------------------------------------------------------------------------


def _placed(
    nodes: Sequence[GraphNode], edges: Sequence[GraphEdge], labels: Sequence[str], radii: Sequence[int]
) -> list[_Box]:
    """By Fruchterman and Reingold's forces (networkx): what is related lies together."""
    import networkx

    drawn: networkx.Graph[str] = networkx.Graph()
    drawn.add_nodes_from(node.id for node in nodes)
    drawn.add_edges_from((edge.source, edge.target) for edge in edges)
    spread = _SPREAD / math.sqrt(len(nodes) or 1)
    places = networkx.spring_layout(drawn, k=spread, seed=_SEED, iterations=150) if nodes else {}
    boxes = []
    for number, (node, label, radius) in enumerate(zip(nodes, labels, radii, strict=True), start=1):
        x, y = places[node.id]
        half = max(text_width(label, instead=f"{node.kind} {number}") / 2 + 3, radius + 2.0)
        boxes.append(
            _Box((x + 1) / 2 * _WIDTH, (y + 1) / 2 * _HEIGHT, half, radius + 2.0, radius + 2.0 + _LABEL_HEIGHT)
        )
    return [_inside(box) for box in boxes]


def _apart(boxes: Sequence[_Box]) -> list[_Box]:
    """Boxes that cover each other are pushed apart, by the shorter way, again and again."""
    placed = list(boxes)
    for _ in range(_ROUNDS):
        moved = False
        for i in range(len(placed)):
            for j in range(i + 1, len(placed)):
                across, down = _overlap(placed[i], placed[j])
                if across <= 0 or down <= 0:
                    continue
                moved = True
                step = (across / 2 + 0.5, 0.0) if across < down else (0.0, down / 2 + 0.5)
                forward = placed[j].x >= placed[i].x if across < down else placed[j].y >= placed[i].y
                placed[i] = _moved(placed[i], step, -1 if forward else 1)
                placed[j] = _moved(placed[j], step, 1 if forward else -1)
        if not moved:
            break
    return placed


def _overlap(one: _Box, other: _Box) -> tuple[float, float]:
    """Pixels that two boxes share across and down; not above 0 where they share none."""
    across = one.half_width + other.half_width - abs(one.x - other.x)
    down = min(one.y + one.below, other.y + other.below) - max(one.y - one.above, other.y - other.above)
    return across, down


def _moved(box: _Box, step: tuple[float, float], direction: int) -> _Box:
    return _inside(box._replace(x=box.x + direction * step[0], y=box.y + direction * step[1]))


def _inside(box: _Box) -> _Box:
    x = min(max(box.x, _MARGIN + box.half_width), _WIDTH - _MARGIN - box.half_width)
    y = min(max(box.y, _MARGIN + box.above), _HEIGHT - _MARGIN - box.below)
    return box._replace(x=x, y=y)
