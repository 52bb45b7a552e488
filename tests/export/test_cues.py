import json
from itertools import pairwise

import pytest
from hypothesis import given, settings

from tests.export.strategies import speaker_names, transcripts
from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.artifacts import TranscriptWord
from transcribe_pipeline.export.cues import LINE_COLUMNS, MAX_SECONDS, NAME_COLUMNS, display_columns
from transcribe_pipeline.export.script import Script


def cues_of(turns, language="en", audio_seconds=None, names=None):
    transcript = transcript_of(turns, language, audio_seconds)
    return Script.of(transcript, file_name="a.flac", names=names or {}).cues


def characters(texts):
    return "".join("".join(texts).split())


@settings(max_examples=150, deadline=None)
@given(transcripts(), speaker_names())
def test_the_hard_rules_hold_for_any_transcript(transcript, names):
    script = Script.of(transcript, file_name="a.flac", names=names)
    cues, cleaned = script.cues, script.transcript
    audio_end = max(0.001, transcript.audio_seconds)

    assert characters(line for cue in cues for line in cue.lines) == characters(word.text for word in cleaned.words)
    speakers = [segment.speaker for segment in cleaned.segments for word in segment.words for _ in word.text.split()]
    if transcript.language == "en":
        assert [cue.speaker for cue in cues for line in cue.lines for _ in line.split()] == speakers

    texts = {word.text for word in cleaned.words}
    for cue in cues:
        assert 1 <= len(cue.lines) <= 2
        assert all(cue.lines)
        prefix = f"{cue.introduces}: " if cue.introduces else ""
        assert display_columns(cue.introduces) <= NAME_COLUMNS
        fits = all(display_columns(line) <= LINE_COLUMNS for line in (prefix + cue.lines[0], *cue.lines[1:]))
        assert fits or (len(cue.lines) == 1 and cue.lines[0] in texts)
        assert 0 <= cue.start < cue.end <= audio_end
        assert cue.end - cue.start <= MAX_SECONDS + 1e-9

    for cue, following in pairwise(cues):
        assert cue.start <= following.start
        if cue.speaker == following.speaker:
            assert cue.end <= max(following.start, cue.start + 0.001) + 1e-9


def test_cues_end_at_sentences_and_clauses():
    text = (
        "When the meeting was finally over, everybody went back to work. "
        "Nobody had understood a single word, but that was nothing new. Right?"
    )
    assert [cue.lines for cue in cues_of([(None, timed(text))])] == [
        ("When the meeting was finally over,", "everybody went back to work."),
        ("Nobody had understood a single word,", "but that was nothing new. Right?"),
    ]


def test_titles_and_initials_do_not_end_a_cue():
    (cue,) = cues_of([(None, timed("And Mr. John F. Kennedy then left."))])
    assert cue.lines == ("And Mr. John F. Kennedy then left.",)


def test_a_change_of_speaker_begins_a_cue_and_names_the_speaker_once():
    turns = [
        ("SPEAKER_00", timed(["Hello", "there."])),
        ("SPEAKER_01", timed(["Hi."], start=2.0)),
        ("SPEAKER_01", timed(["Well?"], start=6.0)),
        (None, timed(["Yes."], start=10.0)),
    ]
    cues = cues_of(turns, names={"SPEAKER_00": "Ann"})
    assert [(cue.speaker, cue.introduces) for cue in cues] == [
        ("SPEAKER_00", "Ann"),
        ("SPEAKER_01", "SPEAKER_01"),
        ("SPEAKER_01", ""),
        (None, ""),
    ]


def test_long_names_are_shortened():
    (cue,) = cues_of([("SPEAKER_00", timed(["Hi."]))], names={"SPEAKER_00": "Wolfeschlegelsteinhausen"})
    assert cue.introduces == "Wolfeschlegelsteinh…"


def test_short_cues_last_into_silence_but_not_into_the_next():
    turns = [
        (None, timed(["Yes."], start=1.0, seconds=0.2)),
        (None, timed(["No."], start=4.0, seconds=0.2)),
        ("SPEAKER_00", timed(["Why?"], start=4.5, seconds=0.2)),
    ]
    times = [(cue.start, cue.end) for cue in cues_of(turns, audio_seconds=5.0)]
    assert times == [(1.0, 2.0), (4.0, 4.5), (4.5, 5.0)]


def test_fast_speech_stays_until_it_can_be_read():
    words = timed(["internationalization"] * 3, seconds=0.3, pause=0.0)
    (cue,) = cues_of([(None, words)], audio_seconds=60.0)
    assert sum(map(len, cue.lines)) == 61
    assert cue.end == pytest.approx(61 / 20)


def test_cues_overlap_where_the_speech_does():
    turns = [("SPEAKER_00", timed(["One"] * 10, start=0.0)), ("SPEAKER_01", timed(["two"] * 3, start=2.0))]
    first, second = cues_of(turns)
    assert first.end == pytest.approx(2.95)
    assert second.start == 2.0


def test_a_longer_word_than_a_line_is_kept_whole():
    word = "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz"
    assert [cue.lines for cue in cues_of([(None, timed(["Das", word, "gilt."]))])] == [("Das",), (word,), ("gilt.",)]


def test_nobody_speaks():
    assert cues_of([], audio_seconds=3.0) == []


@pytest.mark.parametrize("language", ["de", "en", "es", "fr", "it", "ja", "ko", "pt"])
def test_real_speech_in_many_languages(testdata, language):
    cases = json.loads((testdata / "lang_leopard" / "test_data.json").read_text())["tests"]["language_tests"]
    case = next(case for case in cases if case["language"] == language)
    words = [
        TranscriptWord(text=w["word"], start=w["start_sec"], end=w["end_sec"], probability=w["confidence"])
        for w in case["words"]
    ]
    cues = cues_of([("SPEAKER_00", words)], language)
    text = ("" if language == "ja" else " ").join(line for cue in cues for line in cue.lines)
    assert text.lower() == case["transcript"].lower()
    assert all(display_columns(line) <= LINE_COLUMNS for cue in cues for line in cue.lines)
    assert all(1.0 <= cue.end - cue.start <= 7.0 for cue in cues)
