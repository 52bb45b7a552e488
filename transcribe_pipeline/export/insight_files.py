"""Insights as files that people open, in one table. A new one is a function and a line here.

What belongs here: which file holds what of which insight, and the texts' names of speakers put in. What does not: how a
summary, a graph or a table is written (`insight.summary`, `export.graph_files`, `insight.analytics`), and where files
are stored.

Insights are shown whole: words that an export's options hide may stand in any of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import to_json

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export import chapters
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight.names import named
from transcribe_pipeline.insights import Insights


@dataclass(frozen=True)
class Told:
    """What files are written from."""

    insights: Insights
    transcript: Transcript
    names: Mapping[str, str]
    """Label -> name, cleaned, of the speakers that have one."""

    @classmethod
    def of(cls, insights: Insights, transcript: Transcript, names: Mapping[str, str]) -> "Told":
        return cls(insights, transcript, {label: clean(name) for label, name in names.items() if clean(name)})


@dataclass(frozen=True)
class InsightFile:
    file_name: str
    media_type: str
    write: Callable[[Told], bytes | None]
    """None where the insight does not exist, or has nothing that such a file could hold."""


def _summary(told: Told) -> bytes | None:
    if told.insights.summary is None:
        return None
    from transcribe_pipeline.insight.summary import markdown

    return markdown(told.insights.summary, told.names, told.transcript).encode()


def _analytics(told: Told) -> bytes | None:
    if told.insights.analytics is None:
        return None
    from transcribe_pipeline.insight.analytics import csv_table

    return csv_table(told.insights.analytics, told.names).encode()


def _graphml(told: Told) -> bytes | None:
    if told.insights.knowledge_graph is None:
        return None
    from transcribe_pipeline.export.graph_files import graphml

    return graphml(told.insights.knowledge_graph, told.names)


def _json_graph(told: Told) -> bytes | None:
    if told.insights.knowledge_graph is None:
        return None
    from transcribe_pipeline.export.graph_files import json_graph

    return json_graph(told.insights.knowledge_graph, told.names)


def _chapters(write: Callable[[list[chapters.Chapter], float], str]) -> Callable[[Told], bytes | None]:
    def written(told: Told) -> bytes | None:
        found = told.insights.chapters
        if not found or not found.chapters:
            return None
        listed = [(each.start, named(each.title, told.names)) for each in found.chapters]
        try:
            return write(listed, told.transcript.audio_seconds).encode()
        except PipelineError as error:
            if error.code is not ErrorCode.BAD_EXPORT:
                raise
            return None  # such as YouTube's, which wants three of them

    return written


def _everything(told: Told) -> bytes | None:
    if told.insights == Insights():
        return None
    return to_json(document(told), indent=1) + b"\n"


def document(told: Told) -> dict[str, Any]:
    """Every insight that exists, as JSON has it. In running text names stand; a text that is nothing but a label stays
    one, as do ids: `speakers` says who that is."""
    labels = [speaker.label for speaker in told.transcript.speakers]
    return {
        "version": 1,
        "speakers": [{"label": label, "name": told.names.get(label, label)} for label in labels],
        "insights": _with_names(told.insights.model_dump(exclude_none=True), told.names),
    }


_IDS: Final = frozenset({"id", "source", "target"})


def _with_names(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: each if key in _IDS else _with_names(each, names) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_names(each, names) for each in value]
    return named(value, names) if isinstance(value, str) and value not in names else value


_JSON, _TEXT, _VTT, _CSV, _XML = "application/json", "text/plain", "text/vtt", "text/csv", "application/xml"

INSIGHT_FILES: Final[Mapping[str, InsightFile]] = {
    "summary": InsightFile("summary.md", "text/markdown", _summary),
    "insights": InsightFile("insights.json", _JSON, _everything),
    "chapters": InsightFile("chapters.vtt", _VTT, _chapters(chapters.webvtt)),
    "youtube": InsightFile("chapters.txt", _TEXT, _chapters(chapters.youtube)),
    "ffmetadata": InsightFile("chapters.ffmetadata", _TEXT, _chapters(chapters.ffmetadata)),
    "podcast-chapters": InsightFile("chapters.json", "application/json+chapters", _chapters(chapters.podcast)),
    "graph": InsightFile("graph.json", _JSON, _json_graph),
    "graphml": InsightFile("graph.graphml", _XML, _graphml),
    "analytics": InsightFile("analytics.csv", _CSV, _analytics),
}
"""By the name that people ask for them by."""


def insight_keys(results_prefix: str, owner: str, partition_key: str) -> dict[str, str]:
    """Name -> object key."""
    folder = f"{results_prefix}/{owner}/{partition_key}"
    return {name: f"{folder}/{file.file_name}" for name, file in INSIGHT_FILES.items()}


def write_insights(told: Told) -> dict[str, bytes]:
    """Name -> content, of the files that there is something for."""
    written = {name: file.write(told) for name, file in INSIGHT_FILES.items()}
    return {name: content for name, content in written.items() if content is not None}
