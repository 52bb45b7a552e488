# ruff: noqa: RUF001  # characters that look like others are what is tested
"""Every format is read back by somebody else's parser as well as by our own readers."""

import csv
import html
import io
import json
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
import srt
import webvtt
from hypothesis import given, settings

from tests.export.strategies import speaker_names, transcripts
from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.artifacts import SpeakerTurn, TranscriptWord
from transcribe_pipeline.export.formats import FORMATS, RESULT_FORMATS, difference, write_all
from transcribe_pipeline.export.json_document import json_schema
from transcribe_pipeline.export.script import Script, clean

GOLDEN = Path(__file__).parent / "golden"
FORMULA_SIGNS = tuple("=+-@＝＋－＠")
SCHEMA = jsonschema.Draft202012Validator(json_schema())

any_transcript = given(transcripts(), speaker_names())
thorough = settings(max_examples=150, deadline=None)


def script_of(transcript, names):
    return Script.of(transcript, file_name="a.flac", names=names)


@pytest.fixture
def conversation():
    return transcript_of(
        [
            ("SPEAKER_00", timed("Good morning, everybody. Shall we begin?", start=0.5)),
            ("SPEAKER_01", timed("Yes: <b>now</b> --> {\\an8} R&D first.", start=3.0)),
            (
                "SPEAKER_01",
                timed("=SUM(A1) is what the slide says, unmistakable as ever; -1 is not.", start=6.0),
            ),
            (None, timed(["客観的", "Größe", "👍"], start=11.0)),
        ]
    ).model_copy(
        update={
            "turns": (
                SpeakerTurn(start=0.4, end=2.3, speaker="SPEAKER_00"),
                SpeakerTurn(start=2.1, end=9.6, speaker="SPEAKER_01"),
            )
        }
    )


NAMES = {"SPEAKER_00": "Ann <CEO>", "SPEAKER_01": "=Bob: the\nSecond"}


# --- nothing is lost, nothing breaks out ----------------------------------------------------------------------------


@pytest.mark.parametrize("formats", [RESULT_FORMATS, tuple(FORMATS)], ids=["results", "all"])
def test_every_export_holds_the_words_of_any_transcript(formats):
    # Loading python-docx's template takes longer than everything else.
    @settings(max_examples=150 if formats == RESULT_FORMATS else 10, deadline=None)
    @any_transcript
    def holds(transcript, names):
        files = write_all(transcript, file_name="<evil>\n.mp3", names=names, formats=formats)
        assert {name: difference(transcript, name, file) for name, file in files.items()} == dict.fromkeys(formats)

    holds()


@thorough
@any_transcript
def test_srt_as_the_srt_library_reads_it(transcript, names):
    script = script_of(transcript, names)
    subtitles = list(srt.parse(FORMATS["srt"].write(script).decode()))

    assert [subtitle.index for subtitle in subtitles] == list(range(1, len(script.cues) + 1))
    for subtitle, cue in zip(subtitles, script.cues, strict=True):
        assert (subtitle.start, subtitle.end) == (timedelta(seconds=cue.start), timedelta(seconds=cue.end))
        assert not set(subtitle.content) & set("<>{}\\")
        shown = subtitle.content
        for character, twin in zip("<>{}\\", "＜＞｛｝＼", strict=True):
            shown = shown.replace(f"{twin}\u2060", character)
        prefix = f"{cue.introduces}:\u00a0" if cue.introduces else ""
        assert shown == prefix + "\n".join(cue.lines)


@thorough
@any_transcript
def test_vtt_as_the_webvtt_library_reads_it(transcript, names):
    script = script_of(transcript, names)
    captions = webvtt.from_string(FORMATS["vtt"].write(script).decode(), strict=True).captions

    assert [caption.identifier for caption in captions] == [str(n) for n in range(1, len(script.cues) + 1)]
    for caption, cue in zip(captions, script.cues, strict=True):
        assert html.unescape(caption.text) == "\n".join(cue.lines)
        assert html.unescape(caption.voice or "") == script.name(cue.speaker)
        assert caption.raw_text.count("<") == (1 if script.name(cue.speaker) else 0)


@thorough
@any_transcript
def test_csv_as_the_csv_module_and_a_spreadsheet_read_it(transcript, names):
    script = script_of(transcript, names)
    content = FORMATS["csv"].write(script).decode()
    rows = list(csv.DictReader(io.StringIO(content, newline=""), strict=True))

    assert [int(row["segment"]) for row in rows] == [segment.id for segment in transcript.segments]
    for row, segment in zip(rows, script.transcript.segments, strict=True):
        assert (float(row["start"]), float(row["end"])) == pytest.approx((segment.start, segment.end), abs=0.001)
        assert row["text"].replace("'", "") == script.text([segment]).replace("'", "")
        assert row["speaker"].replace("'", "") == script.name(segment.speaker).replace("'", "")
    for delimiter in ",;":
        cells = [cell for row in csv.reader(io.StringIO(content, newline=""), delimiter=delimiter) for cell in row]
        assert [cell for cell in cells if cell.lstrip().startswith(FORMULA_SIGNS)] == []


@thorough
@any_transcript
def test_json_obeys_its_published_schema(transcript, names):
    script = script_of(transcript, names)
    document = json.loads(FORMATS["json"].write(script))

    SCHEMA.validate(document)
    words = [word["text"] for segment in document["segments"] for word in segment["words"]]
    assert words == [text for word in transcript.words if (text := clean(word.text))]


# --- a damaged file is noticed --------------------------------------------------------------------------------------

every_format = pytest.mark.parametrize("format_name", FORMATS)
every_format_with_words = pytest.mark.parametrize("format_name", [name for name in FORMATS if name != "rttm"])


def written(transcript, format_name, names=NAMES, file_name="a.flac"):
    return write_all(transcript, file_name=file_name, names=names, formats=[format_name])[format_name]


def damaged(content, old, new):
    """`content` with another text in it, inside the package if it is one."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return content.decode().replace(old, new).encode()
    package = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(package, "w") as after:
        for name in before.namelist():
            after.writestr(name, before.read(name).replace(old.encode(), new.encode()))
    return package.getvalue()


@every_format_with_words
@pytest.mark.parametrize(
    ("old", "new"),
    [("unmistakable", ""), ("unmistakable", "mistakable"), ("unmistakable", "unmistakable unmistakable")],
    ids=["dropped", "changed", "doubled"],
)
def test_a_word_is_missing_wrong_or_too_many(conversation, format_name, old, new):
    content = written(conversation, format_name)
    assert difference(conversation, format_name, damaged(content, old, old)) is None
    assert difference(conversation, format_name, damaged(content, old, new))


@pytest.mark.parametrize("format_name", [name for name in FORMATS if name not in ("rttm", "ctm")])  # in order of time
def test_two_segments_have_changed_places(conversation, format_name):
    first, second, third, last = conversation.segments
    swapped = conversation.model_copy(update={"segments": (first, third, second, last)})
    assert difference(conversation, format_name, written(swapped, format_name))


@pytest.mark.parametrize("change", [{"speaker": "SPEAKER_01"}, {"start": 0.6}, {"end": 2.1}])
def test_a_turn_is_another(conversation, change):
    first, *rest = conversation.turns
    other = conversation.model_copy(update={"turns": (first.model_copy(update=change), *rest)})
    assert difference(conversation, "rttm", written(other, "rttm"))


@every_format_with_words
def test_a_character_is_missing_where_words_have_no_spaces(format_name):
    transcript = transcript_of([("SPEAKER_00", timed(["客観", "的", "実在", "の"]))], "ja")
    content = written(transcript, format_name)
    assert difference(transcript, format_name, content) is None
    assert difference(transcript, format_name, damaged(content, "実", ""))


@every_format
def test_the_file_is_cut_off_or_not_text(conversation, format_name):
    content = written(conversation, format_name)
    half = content[: len(content) // 2]
    whole_characters = half if format_name == "docx" else half.decode(errors="ignore").encode()
    assert difference(conversation, format_name, whole_characters)
    assert difference(conversation, format_name, b"")
    assert difference(conversation, format_name, b"\xff\xfe")


def test_text_that_acts_is_refused_even_if_the_words_agree():
    transcript = transcript_of([(None, timed(["<i>", "x"]))])
    raw = b"1\n00:00:00,000 --> 00:00:01,000\n<i> x\n"
    assert difference(transcript, "srt", raw) == "cue 1 holds a character that players act on"


def test_a_difference_quotes_no_words(conversation):
    content = write_all(conversation, file_name="a.flac", names=NAMES)["txt"].replace(b"everybody. ", b"")
    assert difference(conversation, "txt", content) == "26 of 27 words, the first difference is at word 3"


# --- what they look like --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_name", [name for name in FORMATS if name != "docx"])  # its package holds the date
def test_the_files_people_get(conversation, format_name):
    content = written(conversation, format_name, file_name="Board \x00Meeting.mp3")
    assert content == (GOLDEN / f"conversation.{FORMATS[format_name].extension}").read_bytes()


def test_nobody_speaks():
    silence = transcript_of([], "und", audio_seconds=10.0)
    files = write_all(silence, file_name="silence.wav", names={}, formats=FORMATS)
    assert files["srt"] == files["txt"] == b""
    assert files["vtt"] == b"WEBVTT\n"
    assert json.loads(files["json"])["no_speech"] is True
    assert all(difference(silence, name, content) is None for name, content in files.items())


def test_hours_of_speech_in_one_breath():
    words = timed(["on", "and", "on,", "never", "stopping"] * 4_000, seconds=0.3, pause=0.05)
    transcript = transcript_of([("SPEAKER_00", words)])
    files = write_all(transcript, file_name="a.flac", names={})
    assert all(difference(transcript, name, content) is None for name, content in files.items())
    assert b"01:56:39" in files["srt"]


@pytest.mark.parametrize("language", ["de", "en", "ja", "ko"])
def test_real_speech_in_many_languages(testdata, language):
    cases = json.loads((testdata / "lang_leopard" / "test_data.json").read_text())["tests"]["language_tests"]
    case = next(case for case in cases if case["language"] == language)
    words = [
        TranscriptWord(text=w["word"], start=w["start_sec"], end=w["end_sec"], probability=w["confidence"])
        for w in case["words"]
    ]
    transcript = transcript_of([("SPEAKER_00", words[:9]), ("SPEAKER_01", words[9:])], language)
    files = write_all(transcript, file_name="a.flac", names={}, formats=FORMATS)
    assert {name: difference(transcript, name, content) for name, content in files.items()} == dict.fromkeys(FORMATS)


@pytest.mark.e2e
def test_ten_hours_of_speech_in_every_format():
    """100,000 words in 5,000 turns: each format is whole, and all of them fit into little memory."""
    program = """
import resource, time
from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.export.formats import FORMATS, difference
from transcribe_pipeline.export.script import Script

turns = [(f"SPEAKER_{n % 4:02}", timed("on and on, never stopping, " * 4, start=7.0 * n)) for n in range(5_000)]
transcript = transcript_of(turns)
assert len(transcript.words) == 100_000
for name, export in FORMATS.items():
    started = time.monotonic()
    content = export.write(Script.of(transcript, file_name="a", names={}))
    seconds = time.monotonic() - started
    assert difference(transcript, name, content) is None, name
    print(f"{name}: {len(content) / 1e6:.1f} MB in {seconds:.1f} s")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 1_500  # MB; the largest file is 35 MB


def test_clean():
    assert clean(" a\x00\tb\r\n\u2028c\ufeff\u2060 \u00a0d\ud800 ") == "a b c d"
    assert clean("نمی\u200cخواهم 👩\u200d👧 \u200fשלום") == "نمی\u200cخواهم 👩\u200d👧 \u200fשלום"
