"""Plots: their figures, and what can be read from the written SVG and PNG by other means."""

import io
import random
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from PIL import Image

from tests.export.strategies import NASTY, speaker_names, transcripts
from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.artifacts import SpeakerTurn, Transcript, TranscriptSpeaker
from transcribe_pipeline.export import plots
from transcribe_pipeline.export.colours import SPEAKER_COLOURS, speaker_colours

SVG = "{http://www.w3.org/2000/svg}"


def spoken(speakers: int, seconds: float) -> Transcript:
    """Short turns of that many speakers in random order, half of the time nobody."""
    chance = random.Random(1)
    labels = [f"SPEAKER_{number:02}" for number in range(speakers)]
    starts = range(0, int(seconds), 8)
    turns = tuple(SpeakerTurn(start=s, end=s + 4, speaker=chance.choice(labels)) for s in starts)
    words = [(turn.speaker, timed("one two three", start=turn.start)) for turn in turns]
    people = tuple(TranscriptSpeaker(label=label, seconds=60, words=9) for label in labels)
    return transcript_of(words, audio_seconds=seconds).model_copy(update={"turns": turns, "speakers": people})


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def pixels(png: bytes) -> set[tuple[int, int, int]]:
    image = Image.open(io.BytesIO(png)).convert("RGB")
    return {colour for _, colour in image.getcolors(maxcolors=1_000_000) or ()}


# --- figures --------------------------------------------------------------------------------------------------------


def test_words_per_minute():
    transcript = transcript_of([(None, timed(["a"] * 20, start=10, seconds=0.1))], audio_seconds=25)
    rate = plots.speaking_rate(transcript)
    # 20 words in the second ten seconds; the last bin is of five seconds.
    assert (rate.bin_seconds, rate.words_per_minute) == (10, (0, 120, 0))
    assert rate.median == 120


def test_a_word_in_the_last_moment_is_no_peak():
    transcript = transcript_of([(None, timed("a", start=20))], audio_seconds=20.1)
    assert plots.speaking_rate(transcript).words_per_minute == (0, 0, 12)


@settings(max_examples=30, deadline=None)
@given(transcripts())
def test_every_word_counts_once(transcript: Transcript):
    rate = plots.speaking_rate(transcript)
    assert sum(plots.confidence_histogram(transcript)) == len(transcript.words)
    assert len(rate.words_per_minute) <= 81
    assert bool(rate.median) == bool(transcript.words)


def test_confidence_bins_hold_their_lower_end():
    words = [
        word.model_copy(update={"probability": probability})
        for word, probability in zip(timed("a b c d e"), (0.0, 0.049, 0.05, 0.95, 1.0), strict=True)
    ]
    counts = plots.confidence_histogram(transcript_of([(None, words)]))
    assert {number: count for number, count in enumerate(counts) if count} == {0: 2, 1: 1, 19: 2}


def test_talk_time_has_names_and_shares():
    talks = plots.talk_time(spoken(2, 60), {"SPEAKER_01": "Zoë\n"})
    assert [(talk.name, talk.share) for talk in talks] == [("SPEAKER_00", 0.5), ("Zoë", 0.5)]


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", plots.all_plots(spoken(2, 60)))
def test_every_plot_is_told_in_words_and_adapts_to_dark_pages(name: str):
    plot = plots.all_plots(spoken(2, 60))[name]
    root = ElementTree.fromstring(plot.svg())
    assert [child.tag for child in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert root.find(f"{SVG}desc").text  # type: ignore[union-attr]
    assert root.get("role") == "img"
    assert root.find(f"{SVG}g").get("fill") == "currentColor"  # type: ignore[union-attr]
    assert Image.open(io.BytesIO(plot.png())).size == (int(root.get("width") or 0), int(root.get("height") or 0))


def test_speakers_have_lanes_with_name_and_colour():
    plot = plots.who_spoke_when(spoken(3, 60), {"SPEAKER_02": "Zoë Größe"})
    assert {"SPEAKER_00", "SPEAKER_01", "Zoë Größe", "33%", "0:10"} <= set(texts(plot.svg()))
    strokes = {element.get("stroke") for element in ElementTree.fromstring(plot.svg()).iter(f"{SVG}path")}
    assert set(SPEAKER_COLOURS[:3]) <= strokes
    shown = pixels(plot.png())
    assert all(tuple(bytes.fromhex(colour[1:])) in shown for colour in SPEAKER_COLOURS[:3])


def test_bars_stand_where_people_speak():
    # 562 pixels for 100 s from pixel 168 on.
    turns = [SpeakerTurn(start=start, end=end, speaker="A") for start, end in ((0, 50), (25, 60), (90, 90.01))]
    transcript = spoken(1, 100).model_copy(
        update={"turns": tuple(turns), "speakers": (TranscriptSpeaker(label="A", seconds=60, words=1),)}
    )
    paths = [
        path.get("d") for path in ElementTree.fromstring(plots.who_spoke_when(transcript).svg()).iter(f"{SVG}path")
    ]
    assert "M168 19h337m169 0h1" in paths


def test_ten_hours_of_twenty_speakers_stay_small_and_readable():
    transcript = spoken(20, 36_000)
    for name, plot in plots.all_plots(transcript).items():
        assert len(plot.svg()) < 60_000, name
        assert len(plot.png()) < 40_000, name
    lanes = texts(plots.who_spoke_when(transcript).svg())
    assert all(f"SPEAKER_{number:02}" in lanes for number in range(20))


def test_more_speakers_than_lanes_are_counted():
    assert "6 more" in texts(plots.who_spoke_when(spoken(30, 600)).svg())
    assert "6 more" in texts(plots.talk_time_bars(spoken(30, 600)).svg())


def test_without_speech_or_speakers_the_plots_say_so():
    silence = transcript_of([], audio_seconds=0)
    for name, plot in plots.all_plots(silence).items():
        assert {"No speech", "No words"} & set(texts(plot.svg())), name
        assert plot.png()
    nobody = transcript_of([(None, timed("hello there"))])
    assert "Speech" in texts(plots.who_spoke_when(nobody).svg())


@settings(max_examples=25, deadline=None)
@given(transcripts(), speaker_names())
def test_whatever_people_say_or_are_called_it_is_a_picture(transcript: Transcript, names: dict[str, str]):
    for plot in plots.all_plots(transcript, names).values():
        ElementTree.fromstring(plot.svg())


@pytest.mark.parametrize("name", [*NASTY, "</title><script>alert(1)</script>", '" onload="alert(1)', "]]>"])
def test_names_cannot_become_markup(name: str):
    svg = plots.who_spoke_when(spoken(1, 60), {"SPEAKER_00": name}).svg()
    root = ElementTree.fromstring(svg)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {"svg", "title", "desc", "g", "path", "text"}
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on")]


def test_a_name_that_the_font_of_the_picture_lacks_is_shown_as_its_label():
    transcript = spoken(1, 60)
    plain = plots.who_spoke_when(transcript).png()
    assert plots.who_spoke_when(transcript, {"SPEAKER_00": "客観"}).png() == plain
    assert plots.who_spoke_when(transcript, {"SPEAKER_00": "Ann"}).png() != plain


# --- colours --------------------------------------------------------------------------------------------------------


def test_colours_go_by_order_of_appearance_and_24_differ():
    colours = speaker_colours(f"SPEAKER_{number:02}" for number in range(25))
    assert list(colours.values())[:8] == list(SPEAKER_COLOURS)
    assert len(set(colours.values())) == 24
