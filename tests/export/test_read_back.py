# ruff: noqa: RUF001  # characters that look like others are what is tested
"""The formats of other people's tools, read by those tools or their libraries: words, speakers and times are there."""

import csv
import io
import json
import re
import tempfile
from collections import Counter, defaultdict
from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import ass
import jsonschema
import mammoth
import pytest
import tgt
from hypothesis import given, settings
from markdown_it import MarkdownIt
from meeteval.io import CTM
from pyannote.database.util import load_rttm
from pympi.Elan import Eaf
from whisperx.utils import WriteSRT, WriteTSV, WriteTXT

from tests.export.strategies import speaker_names, transcripts
from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.artifacts import SpeakerTurn, TranscriptWord
from transcribe_pipeline.export.formats import FORMATS
from transcribe_pipeline.export.script import Script, identifier
from transcribe_pipeline.export.tiers import speaker_tiers

FORMULA_SIGNS = tuple("=+-@＝＋－＠")

any_transcript = given(transcripts(), speaker_names())
thorough = settings(max_examples=25, deadline=None)
brief = settings(max_examples=12, deadline=None)


def script_of(transcript, names, file_name="Board: <b>Meeting</b> \"1\" = 'x'.mp3"):
    return Script.of(transcript, file_name=file_name, names=names)


def written(script, format_name):
    return FORMATS[format_name].write(script).decode()


def read_with(read, content, suffix=""):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"file{suffix}")
        path.write_bytes(content)
        return read(str(path))


def turns_of(script):
    """(speaker's name, start, text) of every paragraph that has words."""
    for paragraph in script.transcript.paragraphs:
        text = script.text(script.transcript.segments[paragraph.first_segment : paragraph.last_segment + 1])
        if text:
            yield script.name(paragraph.speaker), paragraph.start, text


# --- to read --------------------------------------------------------------------------------------------------------


@thorough
@any_transcript
def test_markdown_is_read_as_text_and_nothing_else(transcript, names):
    script = script_of(transcript, names)
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = reader.parse(written(script, "md"))

    assert {token.type for token in tokens} <= {
        "heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline",
    }  # fmt: skip
    heading, *inline = [token for token in tokens if token.type == "inline"]
    assert plain_text(heading) == script.file_name
    expected = list(turns_of(script))
    assert len(inline) == 2 * len(expected)
    for who, said, (name, _, text) in zip(inline[::2], inline[1::2], expected, strict=True):
        assert plain_text(said) == text
        kinds = [child.type for child in who.children if child.content or child.type != "text"]
        assert kinds == (["strong_open", "text", "strong_close", "text"] if name else ["text"])
        assert re.fullmatch(rf"(?:{re.escape(name)} )?\(\d\d:\d\d:\d\d\)", "".join(c.content for c in who.children))


def plain_text(inline):
    assert {child.type for child in inline.children} <= {"text"}
    return "".join(child.content for child in inline.children)


class Paragraphs(HTMLParser):
    """(tag, text) of the top elements of what mammoth makes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, ""))

    def handle_data(self, data):
        tag, text = self.found[-1]
        self.found[-1] = (tag, text + data)


@settings(max_examples=4, deadline=None)  # reading one takes a second
@any_transcript
def test_word_document_as_mammoth_reads_it(transcript, names):
    script = script_of(transcript, names)
    content = io.BytesIO(FORMATS["docx"].write(script))
    styles = "p[style-name='Title'] => h1:fresh\np[style-name='Body Text'] => p:fresh"
    result = mammoth.convert_to_html(content, style_map=styles)

    assert result.messages == []
    title, *rest = Paragraphs(result.value).found
    assert title == ("h1", script.file_name)
    assert [tag for tag, _ in rest] == ["h2", "p"] * (len(rest) // 2)
    assert [text for _, text in rest[1::2]] == [text for _, _, text in turns_of(script)]
    for (_, heading), (name, _, _) in zip(rest[::2], turns_of(script), strict=True):
        assert re.fullmatch(rf"{re.escape(name)} ?\d\d:\d\d:\d\d", heading)


@pytest.mark.parametrize(
    ("language", "attribute", "is_right_to_left"), [("de", "val", 0), ("ja", "eastAsia", 0), ("ar", "bidi", 1)]
)
def test_word_checks_spelling_in_the_language_of_the_transcript(language, attribute, is_right_to_left):
    import docx

    script = script_of(transcript_of([("SPEAKER_00", timed("Hallo."))], language), {})
    document = docx.Document(io.BytesIO(FORMATS["docx"].write(script)))
    namespace = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
    (lang,) = document.styles.element.iter(f"{namespace}lang")
    assert lang.get(namespace + attribute) == language
    assert document.core_properties.language == language
    text = document.styles["Body Text"].element
    assert len(list(text.iter(f"{namespace}bidi"))) == len(list(text.iter(f"{namespace}rtl"))) == is_right_to_left


# --- to watch -------------------------------------------------------------------------------------------------------


@thorough
@any_transcript
def test_karaoke_as_the_ass_library_reads_it(transcript, names):
    script = script_of(transcript, names)
    document = ass.parse(io.StringIO(written(script, "ass")))
    styles = {style.name: style for style in document.styles}

    assert len(document.events) == len(script.cues)
    for event, cue in zip(document.events, script.cues, strict=True):
        assert abs(event.start - timedelta(seconds=cue.start)) <= timedelta(milliseconds=5)
        assert abs(event.end - timedelta(seconds=cue.end)) <= timedelta(milliseconds=10)
        assert event.start < event.end
        assert event.style in styles
        assert "," not in event.name
        shown = re.sub(r"\{\\k\d+\}", "", event.text).replace(r"\N", "\n")
        assert not set(shown) & set("{}\\")
        for character, twin in zip("<>{}\\", "＜＞｛｝＼", strict=True):
            shown = shown.replace(f"{twin}\u2060", character)
        assert shown.rpartition(":\u00a0")[2] == "\n".join(cue.lines)
        lengths = [int(length) for length in re.findall(r"\\k(\d+)", event.text)]
        assert sum(lengths) <= (event.end - event.start) / timedelta(milliseconds=10)
    actors = {event.style: event.name for event in document.events}
    assert len(actors) == len({cue.speaker for cue in script.cues})


def test_karaoke_words_light_up_when_they_are_spoken():
    words = [
        *timed("One two", start=61.0),
        *timed("three,", start=61.9),
        *timed("four five six seven eight", start=62.5),
    ]
    script = script_of(transcript_of([("SPEAKER_00", words)]), {"SPEAKER_00": "Ann"})
    (event,) = ass.parse(io.StringIO(written(script, "ass"))).events
    reached, heard = event.start, []
    for length, text in re.findall(r"\{\\k(\d+)\}([^{]*)", event.text):
        if text:
            heard.append((text.replace(r"\N", "").strip(), reached.total_seconds()))
        reached += timedelta(milliseconds=10 * int(length))
    assert heard == [(word.text, pytest.approx(word.start, abs=0.01)) for word in words]


def test_ass_goes_on_after_ten_hours():
    words = timed("Still here.", start=11 * 3600.0)
    script = script_of(transcript_of([(None, words)]), {})
    (event,) = ass.parse(io.StringIO(written(script, "ass"))).events
    assert event.start == timedelta(hours=11)


def test_speakers_have_the_colours_of_the_pictures(conversation):
    from transcribe_pipeline.export.colours import speaker_colours

    document = ass.parse(io.StringIO(written(script_of(conversation, {}), "ass")))
    colours = {style.name: style.primary_color for style in document.styles}
    for number, colour in enumerate(speaker_colours(["SPEAKER_00", "SPEAKER_01"]).values(), start=1):
        found = colours[f"Speaker {number}"]
        assert f"#{found.r:02X}{found.g:02X}{found.b:02X}" == colour


# --- for programs ---------------------------------------------------------------------------------------------------


@thorough
@any_transcript
def test_tsv_as_programs_and_spreadsheets_read_it(transcript, names):
    script = script_of(transcript, names)
    content = written(script, "tsv")
    rows = list(csv.reader(io.StringIO(content), delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None))

    assert rows[0] == ["start", "end", "text"]
    for (start, end, text), segment in zip(rows[1:], script.transcript.segments, strict=True):
        assert (int(start), int(end)) == (round(segment.start * 1000), round(segment.end * 1000))
        assert text.replace("\u2060", "") == script.text([segment])
    assert list(csv.reader(io.StringIO(content), delimiter="\t", strict=True)) == rows
    for delimiters in ("\t", "\t;", "\t;,"):
        cells = [cell for line in content.splitlines() for cell in re.split(f"[{delimiters}]", line)]
        assert [cell for cell in cells if cell.lstrip("\"' ").startswith(FORMULA_SIGNS)] == []


def test_tsv_is_what_whisperx_writes():
    script = script_of(transcript_of([("SPEAKER_00", timed("Good morning, everybody.", start=0.5))]), {})
    expected = io.StringIO()
    WriteTSV("").write_result(json.loads(written(script, "whisperx")), expected, {})
    assert written(script, "tsv") == expected.getvalue()


@thorough
@any_transcript
def test_whisperx_writes_subtitles_from_its_json(transcript, names):
    script = script_of(transcript, names)
    result = json.loads(written(script, "whisperx"))
    subtitles, lines = io.StringIO(), io.StringIO()
    options = {"max_line_width": None, "max_line_count": None, "highlight_words": False}
    spoken = {**result, "segments": [segment for segment in result["segments"] if segment["words"]]}
    WriteSRT("").write_result(spoken, subtitles, options)
    WriteTXT("").write_result(result, lines, {})

    segments = script.transcript.segments
    assert subtitles.getvalue().count(" --> ") >= len(spoken["segments"])
    prefixes = [f"[{script.distinct_names[s.speaker]}]: " if s.speaker else "" for s in segments]
    expected = [prefix + script.text([segment]) for prefix, segment in zip(prefixes, segments, strict=True)]
    assert lines.getvalue().split("\n")[:-1] == expected
    words = [word for segment in result["segments"] for word in segment["words"]]
    assert words == result["word_segments"]
    assert [word["word"] for word in words] == [word.text for word in script.transcript.words]
    assert [word["start"] for word in words] == [pytest.approx(w.start, abs=6e-4) for w in script.transcript.words]


# https://github.com/Podcastindex-org/podcast-namespace/blob/main/transcripts/transcripts.md#json
PODCAST = jsonschema.Draft202012Validator(
    {
        "type": "object",
        "required": ["version", "segments"],
        "properties": {
            "version": {"const": "1.0.0"},
            "segments": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["startTime", "body"],
                    "additionalProperties": False,
                    "properties": {
                        "speaker": {"type": "string", "minLength": 1},
                        "startTime": {"type": "number", "minimum": 0},
                        "endTime": {"type": "number", "minimum": 0},
                        "body": {"type": "string", "minLength": 1},
                    },
                },
            },
        },
    }
)


@thorough
@any_transcript
def test_podcast_transcript_is_what_players_expect(transcript, names):
    script = script_of(transcript, names)
    document = json.loads(written(script, "podcast"))
    PODCAST.validate(document)
    found = [(s.get("speaker", ""), s["startTime"], s["endTime"]) for s in document["segments"]]
    assert found == [(script.name(cue.speaker), cue.start, cue.end) for cue in script.cues]


# --- for research ---------------------------------------------------------------------------------------------------


@brief
@any_transcript
def test_textgrid_as_tgt_reads_it(transcript, names):
    script = script_of(transcript, names)
    content = written(script, "textgrid").encode()
    grid = read_with(lambda path: tgt.io.read_textgrid(path, encoding="utf-8"), content, ".TextGrid")

    by_name = {tier.name: tier for tier in grid.tiers}
    assert len(by_name) == len(grid.tiers) >= 1
    for speaker in speaker_tiers(script):
        for name, intervals in ((speaker.name, speaker.segments), (f"{speaker.name}\u00a0(words)", speaker.words)):
            found = [(round(i.start_time * 1000), round(i.end_time * 1000), i.text) for i in by_name[name].intervals]
            assert found == [tuple(interval) for interval in intervals]


@brief
@any_transcript
def test_elan_as_pympi_reads_it(transcript, names):
    script = script_of(transcript, names)
    eaf = read_with(Eaf, written(script, "eaf").encode(), ".eaf")
    for speaker in speaker_tiers(script):
        words = f"{speaker.name}\u00a0(words)"
        assert eaf.get_annotation_data_for_tier(speaker.name) == [tuple(i) for i in speaker.segments]
        assert eaf.get_annotation_data_for_tier(words) == [tuple(i) for i in speaker.words]
        assert eaf.get_parameters_for_tier(words)["PARENT_REF"] == speaker.name


@thorough
@any_transcript
def test_elan_keeps_the_rules_of_its_format(transcript, names):
    """What the schema cannot say, in https://www.mpi.nl/tools/elan/EAF_Annotation_Format.pdf."""
    document = ElementTree.fromstring(written(script_of(transcript, names), "eaf"))
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in document.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values())
    types = {kind.get("LINGUISTIC_TYPE_ID"): kind.get("CONSTRAINTS") for kind in document.iter("LINGUISTIC_TYPE")}
    tiers = {tier.get("TIER_ID"): tier for tier in document.iter("TIER")}
    ids = [annotation.get("ANNOTATION_ID") for annotation in document.iter("ALIGNABLE_ANNOTATION")]
    assert len(ids) == len(set(ids))
    spans = {
        name: [
            (slots[a.get("TIME_SLOT_REF1")], slots[a.get("TIME_SLOT_REF2")]) for a in tier.iter("ALIGNABLE_ANNOTATION")
        ]
        for name, tier in tiers.items()
    }
    for name, tier in tiers.items():
        assert all(start < end for start, end in spans[name])
        assert all(left[1] <= right[0] for left, right in pairwise(spans[name]))
        parent = tier.get("PARENT_REF")
        assert types[tier.get("LINGUISTIC_TYPE_REF")] == ("Included_In" if parent else None)
        if parent:
            assert all(any(s <= start and end <= e for s, e in spans[parent]) for start, end in spans[name])


def test_tiers_have_the_recognisers_times_where_those_can_be(conversation):
    for speaker in speaker_tiers(script_of(conversation, {})):
        words = [w for s in conversation.segments if (s.speaker or "unknown") == speaker.name for w in s.words]
        assert [(w.start, w.end) for w in speaker.words] == [
            (round(w.start * 1000), round(w.end * 1000)) for w in words
        ]


def test_speakers_of_one_name_stay_two(conversation):
    names = {"SPEAKER_00": "unknown", "SPEAKER_01": "unknown"}
    tiers = [tier.name for tier in speaker_tiers(script_of(conversation, names))]
    assert tiers == ["unknown", "unknown 2", "unknown 3"]
    document = json.loads(written(script_of(conversation, names), "whisperx"))
    assert [segment.get("speaker") for segment in document["segments"]] == ["unknown", "unknown 2", "unknown 2", None]


@thorough
@any_transcript
def test_ctm_as_meeteval_reads_it(transcript, names):
    script = script_of(transcript, names)
    lines = CTM.parse(written(script, "ctm"), parse_float=float).lines
    expected = sorted(script.transcript.words, key=lambda word: round(word.start * 1000))
    assert {line.filename for line in lines} <= {identifier(script.file_name)}
    assert [line.begin_time for line in lines] == sorted(line.begin_time for line in lines)
    assert Counter(line.word for line in lines) == Counter(t for word in expected for t in word.text.split())
    if len(lines) == len(expected):  # no word with spaces in it
        assert [line.word for line in lines] == [word.text for word in expected]
        times = [(word.start, word.end - word.start) for word in expected]
        assert [(line.begin_time, line.duration) for line in lines] == [pytest.approx(t, abs=0.0011) for t in times]


def test_ctm_divides_a_word_with_spaces_by_its_letters():
    word = TranscriptWord(text="New  York", start=1.0, end=1.7, probability=0.5)
    content = written(script_of(transcript_of([(None, [word])]), {}, "a b.wav"), "ctm")
    assert content == "a_b.wav 1 1.000 0.300 New 0.500\na_b.wav 1 1.300 0.400 York 0.500\n"


@brief
@any_transcript
def test_rttm_as_pyannote_reads_it(transcript, names):
    turns = tuple(SpeakerTurn(start=s.start, end=s.end, speaker=s.speaker) for s in transcript.segments if s.speaker)
    script = script_of(transcript.model_copy(update={"turns": turns}), names)
    content = FORMATS["rttm"].write(script)
    expected = defaultdict(list)
    for turn in turns:
        if turn.end > turn.start:
            expected[identifier(turn.speaker)].append((turn.start, turn.end))
    if not expected:
        assert content == b""
        return
    (uri, annotation), *others = read_with(load_rttm, content).items()
    assert (uri, others) == (identifier(script.file_name), [])
    found = defaultdict(list)
    for segment, _, label in annotation.itertracks(yield_label=True):
        found[label].append((segment.start, segment.end))
    for label, spans in expected.items():
        pairs = zip(sorted(found[label]), sorted(spans), strict=True)
        assert all(left == pytest.approx(right, abs=0.0011) for left, right in pairs)
    assert found.keys() == expected.keys()


@thorough
@any_transcript
def test_audacity_labels_are_rows_of_three(transcript, names):
    script = script_of(transcript, names)
    content = io.StringIO(written(script, "audacity"))
    rows = list(csv.reader(content, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None))
    for (start, end, text), segment in zip(rows, script.transcript.segments, strict=True):
        assert (float(start), float(end)) == pytest.approx((segment.start, segment.end), abs=1e-6)
        name = script.name(segment.speaker)
        assert text == (f"{name}:\u00a0" if name else "") + script.text([segment])


@pytest.fixture
def conversation():
    return transcript_of(
        [
            ("SPEAKER_00", timed("Good morning, everybody.", start=0.5)),
            ("SPEAKER_01", timed("Yes: now.", start=3.0)),
            ("SPEAKER_01", timed("And then?", start=6.0)),
            (None, timed("Nothing.", start=11.0)),
        ]
    )
