"""Plots of insights: what can be read from the written SVG, and drawn whatever the figures are."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from tests.export.strategies import NASTY, speaker_names, transcripts
from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.artifacts import SpeakerTurn, Transcript, TranscriptSpeaker
from transcribe_pipeline.export.colours import SPEAKER_COLOURS
from transcribe_pipeline.export.insight_plots import talk_over_time
from transcribe_pipeline.insight.analytics import analytics
from transcribe_pipeline.insights import Analytics

SVG = "{http://www.w3.org/2000/svg}"


def figures() -> Analytics:
    """Two windows of 30 s: one speaker talks all of the first, the other 15 s of the second."""
    transcript = transcript_of([("SPEAKER_00", timed("one")), ("SPEAKER_01", timed("two", start=40))], audio_seconds=60)
    turns = (SpeakerTurn(start=0, end=30, speaker="SPEAKER_00"), SpeakerTurn(start=35, end=50, speaker="SPEAKER_01"))
    return analytics(transcript.model_copy(update={"turns": turns}), "v")


def drawn(svg: str) -> dict[str | None, str | None]:
    return {path.get("stroke"): path.get("d") for path in ElementTree.fromstring(svg).iter(f"{SVG}path")}


def test_columns_are_as_high_as_the_share_of_talk() -> None:
    plot = talk_over_time(figures(), {"SPEAKER_01": "Zoë"})
    first, second = (drawn(plot.svg())[colour] or "" for colour in SPEAKER_COLOURS[:2])
    # Columns of 281 pixels from 168 on, lanes of 22 pixels from 8 on, full at 19 pixels.
    assert re.findall(r"M([\d.]+) (\d+)v-(\d+)", first) == [("308.5", "30", "19")]
    assert re.findall(r"M([\d.]+) (\d+)v-(\d+)", second) == [("589.5", "52", "10")]
    assert plot.description == "Talks most: SPEAKER_00 0:00 to 0:30; Zoë 0:30 to 1:00."


def test_a_word_in_the_last_moment_is_no_peak() -> None:
    turns = (SpeakerTurn(start=0, end=3, speaker="SPEAKER_00"), SpeakerTurn(start=30, end=33, speaker="SPEAKER_00"))
    transcript = transcript_of([("SPEAKER_00", timed("one"))], audio_seconds=33).model_copy(update={"turns": turns})
    columns = drawn(talk_over_time(analytics(transcript, "v")).svg())[SPEAKER_COLOURS[0]] or ""
    # 3 s of 30 s, and 3 s of what counts as 15 s, of 19 pixels.
    assert re.findall(r"v-(\d+)", columns) == ["2", "4"]


def test_without_speakers_or_speech_it_says_so() -> None:
    assert "No speech" in talk_over_time(analytics(transcript_of([]), "v")).svg()
    assert "No speakers" in talk_over_time(analytics(transcript_of([(None, timed("hello there"))]), "v")).svg()


def test_many_speakers_and_hours_stay_small() -> None:
    people = tuple(TranscriptSpeaker(label=f"SPEAKER_{n:02}", seconds=0, words=0) for n in range(30))
    turns = tuple(SpeakerTurn(start=s, end=s + 5, speaker=f"SPEAKER_{s % 30:02}") for s in range(0, 36_000, 7))
    transcript = transcript_of([], audio_seconds=36_000).model_copy(update={"turns": turns, "speakers": people})
    plot = talk_over_time(analytics(transcript, "v"))
    assert "6 more" in plot.svg()
    assert len(plot.svg()) < 60_000
    assert len(plot.png()) < 40_000


@settings(max_examples=20, deadline=None)
@given(transcripts(), speaker_names())
def test_whatever_is_said_it_is_a_picture(transcript: Transcript, names: dict[str, str]) -> None:
    ElementTree.fromstring(talk_over_time(analytics(transcript, "v"), names).svg())


@pytest.mark.parametrize("name", [*NASTY, "</title><script>alert(1)</script>"])
def test_names_cannot_become_markup(name: str) -> None:
    root = ElementTree.fromstring(talk_over_time(figures(), {"SPEAKER_00": name}).svg())
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {"svg", "title", "desc", "g", "path", "text"}
