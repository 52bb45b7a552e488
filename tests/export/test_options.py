# ruff: noqa: RUF001  # characters that look like others are what is tested
"""What people may ask of an export: hidden words, the translation, names, words per cue."""

import html
import io
import json
import re
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.strategies import speaker_names, transcripts
from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.artifacts import SpeakerTurn, Translation
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.export.formats import FORMATS, difference, write_all
from transcribe_pipeline.export.options import ExportOptions
from transcribe_pipeline.export.redaction import Redaction
from transcribe_pipeline.export.script import Script, clean
from transcribe_pipeline.export.translated import in_english

PLACEHOLDER = "[redacted]"


def readable(format_name, content):
    """All that a person or a program can find in a file, letters only: what is escaped or packed is undone."""
    if format_name == "docx":
        archive = zipfile.ZipFile(io.BytesIO(content))
        text = " ".join(archive.read(name).decode(errors="replace") for name in archive.namelist())
    else:
        text = content.decode()
    text = re.sub(r"\{\\k\d+\}|\\(?=[^\w\s])", "", html.unescape(text).replace(r"\N", " "))
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def spoken(text, language="en"):
    return transcript_of([("SPEAKER_00", timed(text))], language)


def redacted(text, *phrases, language="en"):
    options = ExportOptions(redact=phrases)
    script = Script.of(spoken(text, language), file_name="a", names={}, options=options)
    return [word.text for word in script.transcript.words]


# --- hiding words ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "phrase", "expected"),
    [
        ("I met john there.", "John", "I met [redacted] there."),
        ("“JOHN’s” car", "John", "“[redacted]’s” car"),
        ("a party of art", "art", "a party of [redacted]"),
        ("John, Smith's and John-Smith!", "john smith", "[redacted]'s and [redacted]!"),
        ("Mr. O’Brien", "O'Brien", "Mr. [redacted]"),
        ("John John John", "John", "[redacted] [redacted] [redacted]"),
        ("John Smith John", "John|John Smith", "[redacted] [redacted]"),
        ("Große GROSSE", "grosse", "[redacted] [redacted]"),
        ("Jo\u00adhn cafe\u0301", "John|Café", "[redacted] [redacted]"),
        ("call 555-0199 now", "555 0199", "call [redacted] now"),
        ("हिन्दी हिन", "हिन", "हिन्दी [redacted]"),
        ("José", "Jose", "José"),
    ],
)
def test_whole_words_are_hidden(text, phrase, expected):
    assert " ".join(redacted(text, *phrase.split("|"))) == expected


def test_where_words_have_no_spaces_characters_count():
    assert redacted(["客観", "的に", "見る"], "客観的", language="ja") == ["[redacted]に", "見る"]
    assert redacted(["김철수가"], "김철수", language="ko") == ["[redacted]가"]


def test_a_phrase_takes_the_time_of_its_words():
    options = ExportOptions(redact=("john smith",))
    (word, other) = Script.of(spoken("John Smith left"), file_name="a", names={}, options=options).transcript.words
    assert (word.text, word.start, word.end) == (PLACEHOLDER, 0.0, pytest.approx(0.55))
    assert (other.text, other.start) == ("left", pytest.approx(0.6))


def test_a_phrase_is_found_across_segments():
    transcript = transcript_of([("SPEAKER_00", timed("I am John")), ("SPEAKER_01", timed("Smith I am", start=5.0))])
    options = ExportOptions(redact=("john smith",))
    script = Script.of(transcript, file_name="a", names={}, options=options)
    assert [script.text([segment]) for segment in script.transcript.segments] == ["I am [redacted]", "[redacted] I am"]


@pytest.mark.parametrize("format_name", FORMATS)
def test_what_is_hidden_is_in_no_byte_of_any_format(format_name):
    transcript = transcript_of(
        [
            ("SPEAKER_00", timed("My name is Zebulon Quux. ZEBULON!")),
            ("SPEAKER_01", timed("zebulon-quux, <zebulon>? Call Fennimore: zebulon", start=9.0)),
            ("SPEAKER_01", timed("Quux who?", start=15.0)),
        ]
    ).model_copy(
        update={
            "translation": (Translation(start=0, end=3, text="Zebulon"),),
            "turns": (SpeakerTurn(start=0, end=3, speaker="SPEAKER_00"),),
        }
    )
    names = {"SPEAKER_00": "Zebulon (Fennimore)", "SPEAKER_01": "Ann"}
    options = ExportOptions(redact=("Zebulon", "zebulon quux", "fennimore"))
    hidden = write_all(transcript, file_name="zebulon quux.mp3", names=names, formats=FORMATS, options=options)
    content = hidden[format_name]
    for word in ("zebulon", "fennimore"):
        assert word not in readable(format_name, content)
        assert word.encode() not in content.lower()
    assert difference(transcript, format_name, content, options) is None
    assert format_name == "rttm" or difference(transcript, format_name, content)


@settings(max_examples=25, deadline=None)
@given(transcripts(), speaker_names(), st.data())
def test_any_word_of_any_transcript_can_be_hidden(transcript, names, data):
    words = sorted({word for segment in transcript.segments for w in segment.words for word in clean(w.text).split()})
    candidates = [word for word in words if any(character.isalnum() for character in word)]
    if not candidates:
        return
    phrase = data.draw(st.sampled_from(candidates))
    options = ExportOptions(redact=(phrase,), placeholder="█")
    formats = [name for name in FORMATS if name != "docx"]
    files = write_all(transcript, file_name=f"{phrase}.mp3", names=names, formats=formats, options=options)
    left = Redaction((phrase,), "█")
    for name, content in files.items():
        assert difference(transcript, name, content, options) is None
    script = Script.of(transcript, file_name=f"{phrase}.mp3", names=names, options=options)
    shown = [script.file_name, *(segment.text for segment in script.transcript.segments)]
    assert [text for text in shown if left.text(text) != text] == []


@pytest.mark.parametrize(
    ("phrases", "placeholder"), [(("...",), "x"), (("",), "x"), (("John",), "(John)"), (("John",), "\n"), (("a",), "")]
)
def test_what_cannot_be_hidden_is_refused(phrases, placeholder):
    options = ExportOptions(redact=phrases, placeholder=placeholder)
    with pytest.raises(PipelineError, match="BAD_EXPORT"):
        Script.of(spoken("x"), file_name="a", names={}, options=options)


# --- the translation ------------------------------------------------------------------------------------------------


@pytest.fixture
def german():
    transcript = transcript_of(
        [
            ("SPEAKER_00", timed("Guten Morgen zusammen.", start=0.0)),
            ("SPEAKER_01", timed("Hallo.", start=2.0)),
            ("SPEAKER_01", timed("Wie geht es euch?", start=3.0)),
        ],
        "de",
    )
    stretches = (
        Translation(start=0.0, end=1.0, text="Good morning everyone."),
        Translation(start=2.0, end=5.0, text=" Hello. How are\nyou all doing on this fine day? "),
        Translation(start=5.0, end=5.5, text="  "),
        Translation(start=5.9, end=6.0, text="Amen."),
    )
    return transcript.model_copy(update={"translation": stretches})


ENGLISH = ExportOptions(language="en")


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_format_can_be_had_in_english(german, format_name):
    content = write_all(german, file_name="a", names={}, formats=[format_name], options=ENGLISH)[format_name]
    assert difference(german, format_name, content, ENGLISH) is None
    if format_name != "rttm":
        assert "morning" in readable(format_name, content)
        assert "morgen" not in readable(format_name, content)


def test_the_translation_has_speakers_and_times_of_the_speech(german):
    english = in_english(german)
    assert [(s.speaker, s.start, s.end) for s in english.segments] == [
        ("SPEAKER_00", 0.0, 1.0),
        ("SPEAKER_01", 2.0, 5.0),
        (None, 5.9, 6.0),
    ]
    assert [speaker.words for speaker in english.speakers] == [3, 10]
    for segment in english.segments:
        times = [time for word in segment.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert (times[0], times[-1]) == (segment.start, segment.end)


def test_english_is_english_already():
    transcript = spoken("Hello.")
    assert in_english(transcript) is transcript


def test_what_was_never_translated_cannot_be_had_in_english():
    with pytest.raises(PipelineError, match=r"no English translation.*translate=true.*BAD_EXPORT"):
        in_english(spoken("Guten Morgen.", "de"))


def test_silence_needs_no_translation():
    silence = transcript_of([], "und", audio_seconds=3.0)
    assert write_all(silence, file_name="a", names={}, formats=["srt"], options=ENGLISH) == {"srt": b""}


# --- names, words per cue -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_name", FORMATS)
def test_without_names_nobody_is_named(format_name):
    transcript = transcript_of([("SPEAKER_00", timed("Hello there.")), ("SPEAKER_01", timed("Hi.", start=2.0))])
    options = ExportOptions(names=False)
    names = {"SPEAKER_00": "Zebulon", "SPEAKER_01": "Quux"}
    content = write_all(transcript, file_name="a", names=names, formats=[format_name], options=options)[format_name]
    assert "zebulon" not in readable(format_name, content)
    assert difference(transcript, format_name, content, options) is None
    keeps_labels = format_name in {"json", "whisperx", "textgrid", "eaf"}
    assert ("speaker 00" in readable(format_name, content)) == keeps_labels


@settings(max_examples=30, deadline=None)
@given(transcripts(), speaker_names(), st.integers(1, 5))
def test_no_cue_has_more_words_than_asked_for(transcript, names, words_per_cue):
    options = ExportOptions(words_per_cue=words_per_cue)
    script = Script.of(transcript, file_name="a", names=names, options=options)
    assert all(sum(map(len, cue.words)) <= words_per_cue for cue in script.cues)
    for name in ("srt", "vtt", "ass", "podcast"):
        assert difference(transcript, name, FORMATS[name].write(script), options) is None


def test_words_per_cue():
    script = Script.of(spoken("a b c d e"), file_name="a", names={}, options=ExportOptions(words_per_cue=1))
    assert [cue.lines for cue in script.cues] == [(letter,) for letter in ("a", "b", "c", "d", "e")]
    assert [s["body"] for s in json.loads(FORMATS["podcast"].write(script))["segments"]] == ["a", "b", "c", "d", "e"]
    with pytest.raises(PipelineError, match="BAD_EXPORT"):
        ExportOptions(words_per_cue=0)
