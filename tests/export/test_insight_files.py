"""Files of insights hold what they should, and nothing for what does not exist."""

import json
import re

import pytest
from hypothesis import given, settings

from tests.export import strategies
from tests.export.insights import insights_of
from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.export.insight_files import INSIGHT_FILES, Told, document, insight_keys, write_insights
from transcribe_pipeline.insights import INSIGHTS, Chapter, Insights

CALL = transcript_of(
    [("SPEAKER_00", timed("Hello there", 3.25)), ("SPEAKER_01", timed("And you?", 70))], audio_seconds=80
)
NAMES = {"SPEAKER_00": "Diane\x1b\n"}
CHAPTERS = {"chapters", "ffmetadata", "podcast-chapters"}


def told(insights: Insights) -> Told:
    return Told.of(insights, CALL, NAMES)


def only(*stages: str) -> Insights:
    made = insights_of(CALL, "SPEAKER_00 meets SPEAKER_01")
    return Insights.model_validate({stage: getattr(made, stage) for stage in stages})


@pytest.mark.parametrize(
    ("stages", "files"),
    [
        ((), set()),
        (("chapters",), {"insights"} | CHAPTERS),
        (("questions", "speaker_names", "semantic_chunks"), {"insights"}),
        (("knowledge_graph",), {"insights", "graph", "graphml"}),
        (("analytics",), {"insights", "analytics"}),
        (("summary",), {"insights", "summary"}),
    ],
)
def test_a_file_is_there_if_its_insight_is(stages, files):
    assert write_insights(told(only(*stages))).keys() == files


def test_every_file_has_the_names_that_people_gave():
    """YouTube wants three chapters: then it has them too."""
    insights = only(*INSIGHTS)
    assert insights.chapters
    third = Chapter(start=60, end=80, title="SPEAKER_00 leaves", first_segment=1, last_segment=1)
    more = insights.chapters.model_copy(update={"chapters": (*insights.chapters.chapters, third)})
    written = write_insights(told(insights.model_copy(update={"chapters": more})))
    assert written.keys() == INSIGHT_FILES.keys()
    for name in written.keys() - {"analytics"}:
        assert "Diane meets" in written[name].decode(), name
    assert written["youtube"].decode().endswith("1:00 Diane leaves\n")


def test_texts_have_names_and_identifiers_stay():
    made = document(told(only(*INSIGHTS)))
    assert made["speakers"] == [
        {"label": "SPEAKER_00", "name": "Diane"},
        {"label": "SPEAKER_01", "name": "SPEAKER_01"},
    ]
    assert list(made["insights"]) == list(INSIGHTS)
    assert made["insights"]["summary"]["action_items"][0]["text"] == "To do: Diane meets SPEAKER_01"
    assert made["insights"]["summary"]["speakers"][0]["speaker"] == "SPEAKER_00"
    assert made["insights"]["semantic_chunks"]["chunks"][0]["speakers"] == ["SPEAKER_00"]
    graph = made["insights"]["knowledge_graph"]
    ids = {node["id"] for node in graph["nodes"]}
    assert "speaker:SPEAKER_00" in ids
    assert {end for edge in graph["edges"] for end in (edge["source"], edge["target"])} <= ids


def test_what_is_nowhere_else_of_this_owner_lies_beside_the_transcript():
    keys = insight_keys("results", "ann", "call-mp3-0")
    assert keys["chapters"] == "results/ann/call-mp3-0/chapters.vtt"
    assert len(set(keys.values())) == len(INSIGHT_FILES)
    assert not [key for key in keys.values() if re.search(r"/transcript\.", key)]


@settings(max_examples=40, deadline=None)
@given(strategies.transcripts(), strategies.speaker_names(), strategies.texts())
def test_whatever_is_said_the_files_are_whole(transcript, names, text):
    if not transcript.segments:
        return
    made = insights_of(transcript, text)
    insights = Insights(chapters=made.chapters, questions=made.questions, summary=None)
    written = write_insights(Told.of(insights, transcript, names))
    assert json.loads(written["insights"])["insights"].keys() == {"chapters", "questions"}
    for content in written.values():
        assert content.decode()
