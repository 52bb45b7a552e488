"""Transcripts that people made: read whatever they saved, found in the recording, and no word of theirs changed."""

import random
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from tests.speech.samples import diarization, spoken, transcription
from transcribe_pipeline.artifacts import Alignment, Cue, Doubt
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.decode import decode_audio
from transcribe_pipeline.media.probe import probe
from transcribe_pipeline.speech import given
from transcribe_pipeline.speech.align import align
from transcribe_pipeline.speech.aligners import pocketsphinx
from transcribe_pipeline.speech.assign import build_transcript
from transcribe_pipeline.speech.recognise import Asked
from transcribe_pipeline.speech.recognise import recognise as recognise_file

SRT = """1
00:00:01,000 --> 00:00:02,500
Grüße aus Köln,
sagte sie.

2
00:00:03,000 --> 00:00:04,000
Ça va?
"""


def texts(cues):
    return [cue.text for cue in cues]


def srt(*cues):
    return "".join(
        f"{n}\n00:00:{n:02d},000 --> 00:00:{n:02d},900\n{text}\n\n" for n, text in enumerate(cues, 1)
    ).encode()


# --- reading ---


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_subtitles_are_read_as_people_save_them(encoding, line_end):
    cues = given.parse(SRT.replace("\n", line_end).encode(encoding), "talk.srt")
    assert cues == (
        Cue(number=1, start=1.0, end=2.5, text="Grüße aus Köln, sagte sie."),
        Cue(number=2, start=3.0, end=4.0, text="Ça va?"),
    )


def test_webvtt_gives_its_words_and_nothing_else():
    vtt = """WEBVTT - a talk
Kind: captions

STYLE
::cue { color: red }

NOTE this is not said

intro
00:01.000 --> 00:02.000 align:start position:0%
<v Roger Bingham>We are in <i>New&nbsp;York</i> &amp; happy

00:02.500 --> 00:03.000
It was
1984

NOTE
neither is this

last-one
01:00:00.250 --> 01:00:01.000
<00:00:02.600>karaoke<00:00:02.800><c.yellow> words</c>
"""
    assert given.parse(vtt.encode(), "talk.vtt") == (
        Cue(number=1, start=1.0, end=2.0, text="We are in New York & happy"),
        Cue(number=2, start=2.5, end=3.0, text="It was 1984"),
        Cue(number=3, start=3600.25, end=3601.0, text="karaoke words"),
    )


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<i>So</i> <font color='#fff'>it</font> <B>goes</B>", "So it goes"),
        ("{\\an8}Up there", "Up there"),
        ("- Who?\n- Me.", "- Who? - Me."),
        ("a < b > c <3", "a < b > c <3"),
        ("Tom & Jerry {really}", "Tom & Jerry {really}"),
        ("one\n\ntwo", "one two"),
        ("nul\0 and bell\a", "nul and bell"),
        ("it was\n1984", "it was 1984"),
    ],
)
def test_markup_goes_and_words_stay(written, read):
    assert texts(given.parse(srt("before", written, "after"), "a.srt")) == ["before", read, "after"]
    assert texts(given.parse(srt(written), "a.srt")) == [read]


def test_cues_without_words_are_left_out_and_the_others_keep_their_numbers():
    cues = given.parse(srt("one", "", "<i></i>", "four"), "a.srt")
    assert [(cue.number, cue.text) for cue in cues] == [(1, "one"), (4, "four")]


def test_cues_out_of_order_are_put_in_order():
    disordered = b"1\n00:00:09,000 --> 00:00:08,000\nlast\n\n2\n00:00:01,000 --> 00:00:05,000\nfirst\n"
    assert [(cue.number, cue.start, cue.end) for cue in given.parse(disordered, "a.srt")] == [(2, 1, 5), (1, 9, 9)]


def test_missing_numbers_and_empty_lines_do_no_harm():
    crowded = b"00:00:01,0 --> 00:00:02,0\none\n00:00:02,0 --> 00:00:03,0\ntwo 2\n"
    assert texts(given.parse(crowded, "a.srt")) == ["one", "two 2"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"just some text",
        b"WEBVTT\n\n",
        b"1\n00:00:01,000 --> 00:00:02,000\n\n",
        bytes(range(256)) * 100,
        b"<tt xmlns='http://www.w3.org/ns/ttml'><p begin='1s'>x</p></tt>",
        b"{1}{2}text",
        b"x" * (given.MAX_BYTES + 1),
        b"0:0:0,0 --> 0:0:1,0\nx\n" * (given.MAX_CUES + 1),
        b"0:0:0,0 --> 0:0:1,0\n" + b"x " * given.MAX_CHARACTERS,
    ],
    ids=["empty", "text", "no cues", "no words", "binary", "TTML", "MicroDVD", "huge", "too many", "too long"],
)
def test_what_is_no_subtitle_file_is_refused(data):
    with pytest.raises(PipelineError) as raised:
        given.parse(data, "a.srt")
    assert raised.value.code is ErrorCode.BAD_GIVEN_TRANSCRIPT


@pytest.mark.timeout(30)
@pytest.mark.parametrize("filler", ["\n", "<", "[", "(", "♪", "{\\", "<v ", "00:00:01,000 --> ", "A ", "[a] ", "\\N"])
def test_a_megabyte_of_anything_is_read_in_linear_time(filler):
    text = filler * (1_000_000 // len(filler))
    cues = given.parse(srt(f"before {text} after", "next"), "a.srt")
    assert cues[0].text.startswith("before")
    assert cues[-1].text.endswith("next")
    assert given._given_words(cues[:1], "en")[0].text == "before"


def test_a_hundred_thousand_cues():
    data = "".join(
        f"{n}\n{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02},000 --> 99:00:00,000\nword{n}\n\n" for n in range(100_000)
    )
    cues = given.parse(data.encode(), "a.srt")
    assert len(cues) == 100_000
    assert cues[-1].text == "word99999"


words = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="<>{}\\&"), min_size=1, max_size=8)


@examples(st.lists(st.lists(words, min_size=1, max_size=6).map(" ".join), min_size=1, max_size=8))
def test_no_word_is_lost_or_changed_in_reading(lines):
    assert texts(given.parse(srt(*lines), "a.srt")) == lines


# --- matching ---


@examples(st.text("abc", max_size=40), st.text("abcd", max_size=40))
def test_matches_are_equal_and_in_order(left, right):
    pairs = given.matches(list(left), list(right))
    assert all(left[i] == right[j] for i, j in pairs)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(pairs))
    assert len(given.matches(list(left), list(left))) == len(left)


def test_ten_hours_of_words_are_matched_through_their_errors():
    chance = random.Random(1)
    vocabulary = [f"w{n}" for n in range(5000)]
    said = chance.choices(vocabulary, weights=[1 / (n + 1) for n in range(5000)], k=100_000)
    heard = [word if chance.random() > 0.15 else "wrong" for word in said if chance.random() > 0.05]
    pairs = given.matches(said, heard)
    assert len(pairs) > 0.95 * sum(word != "wrong" for word in heard)
    assert all(said[i] == heard[j] for i, j in pairs)


def test_a_song_of_one_word_does_not_take_for_ever():
    assert given.matches(["la"] * 100_000, ["la"] * 50_000) == []


# --- time ---


@pytest.mark.parametrize(
    ("drift", "offset"), [(1.0, 0.0), (1.0, 12.3), (1.0, -180.0), (25 / 23.976, 0.0), (23.976 / 25, 60.0), (1.001, 5.0)]
)
def test_offset_and_drift_are_found_through_a_quarter_of_wrong_points(drift, offset):
    chance = np.random.default_rng(1)
    at = np.sort(chance.uniform(0, 3600, 400))
    heard = drift * at + offset + chance.normal(0, 0.3, 400)
    wrong = chance.random(400) < 0.25
    heard[wrong] = chance.uniform(0, 3600, wrong.sum())
    found_drift, found_offset = given.fit_line(at, heard)
    assert found_drift == pytest.approx(drift, abs=2e-4)
    assert found_offset == pytest.approx(offset, abs=0.3)


def test_a_few_close_points_say_nothing_of_drift():
    assert given.fit_line(np.array([]), np.array([])) == (1.0, 0.0)
    assert given.fit_line(np.array([5.0]), np.array([7.0])) == (1.0, 2.0)
    assert given.fit_line(np.array([5.0, 5.0, 5.0]), np.array([7.0, 7.1, 7.2]))[0] == 1.0


# --- fitting, on words made here ---

HEARD = "Look in thy glass and tell the face thou viewest now is the time that face should form another"


def fitted(cues, heard, seconds=60.0):
    return given.fit(cues, heard, seconds, object_key="uploads/ann/talk.srt")


def cue_of(text, start, number=1, each=0.5):
    return Cue(number=number, start=start, end=start + each * len(text.split()), text=text)


def test_heard_words_take_their_time_and_the_others_lie_between():
    text = "Look in thy mirror, and tell the face thou viewest:"
    result = fitted([cue_of(text, 3.0)], transcription(spoken(HEARD, start=10.0)))
    heard = spoken(HEARD, start=10.0)
    found = result.segments[0].words
    assert [w.text for w in found] == text.split()
    assert [w.start for w in found[:3]] == [w.start for w in heard[:3]]
    assert heard[2].end <= found[3].start <= found[3].end <= heard[4].start
    assert (found[3].probability, found[4].probability) == (given.UNHEARD_PROBABILITY, 0.9)
    assert result.match == 0.9
    assert result.offset_seconds == pytest.approx(7.0, abs=0.3)
    assert result.doubtful_cues == ()


def test_descriptions_of_sounds_are_kept_and_do_not_count():
    cues = [
        cue_of("[door slams] (laughs) ♪ la la la ♪", 0.0, 1),
        cue_of("MARY: Look in thy glass and tell the face", 4.0, 2),
        cue_of("\uff08拍手\uff09 thou viewest now is the time", 9.0, 3),
    ]
    result = fitted(cues, transcription(spoken(HEARD, start=4.0)))
    assert result.match == 1.0
    assert result.doubtful_cues == ()
    assert [s.text for s in result.segments] == texts(cues)
    assert [w.text for s in result.segments for w in s.words] == " ".join(texts(cues)).split()


def test_nothing_but_descriptions_has_no_match():
    result = fitted([cue_of("[music] ♪♪♪", 1.0)], transcription([]))
    assert result.match is None
    assert result.cues[0].start == 1.0


def test_a_cue_that_nobody_says_is_doubtful():
    cues = [
        cue_of("Look in thy glass and tell the face", 0.0, 1),
        cue_of("buy our wonderful mattresses today", 4.0, 2),
        cue_of("thou viewest now is the time that face", 8.0, 5),
    ]
    result = fitted(cues, transcription(spoken(HEARD, start=0.0)))
    assert result.doubtful_cues == (2,)
    assert [s.doubts for s in result.segments] == [(), (Doubt.GIVEN_TEXT,), ()]


@pytest.mark.parametrize("heard", ["", "completely different words that nobody ever wrote down the river"])
def test_another_recordings_subtitles_are_refused_with_the_share_that_was_heard(heard):
    cues = [cue_of("Look in thy glass and tell the face thou viewest", 0.0)]
    with pytest.raises(PipelineError, match=r"\d+ % of its words were heard") as raised:
        fitted(cues, transcription(spoken(heard)))
    assert raised.value.code is ErrorCode.GIVEN_TRANSCRIPT_MISMATCH


def test_small_words_in_common_prove_nothing():
    cues = [cue_of("the river of gold and a king in the land of snow", 0.0)]
    heard = " ".join(
        f"{small} {'other words go on and on ' * 3}" for small in ("the", "of", "and", "a", "in", "the", "of")
    )
    with pytest.raises(PipelineError) as raised:
        fitted(cues, transcription(spoken(heard)), 100.0)
    assert raised.value.code is ErrorCode.GIVEN_TRANSCRIPT_MISMATCH


@pytest.mark.parametrize(
    ("language", "text", "pieces"),
    [
        (
            "ja",
            "客観的実在の、Artificial Intelligence「認識」だ。",
            ["客観的", "実在の", "Artificial", "Intelligence", "認識", "だ。"],
        ),
        ("zh", "今天天气很好。", ["今天", "天气", "很", "好。"]),
        ("th", "ภาษาไทยที่นี่", ["ภาษา", "ไทย", "ที่", "นี่"]),
        ("ko", "그는 길을 피하면서 걸어갔다.", ["그는", "길을피하면서", "걸어", "갔다."]),
        ("vi", "Tiếng Việt rất hay", ["tiếng", "việt", "rất", "hay"]),
    ],
)
def test_languages_are_compared_in_their_own_way(language, text, pieces):
    heard = transcription(spoken(" ".join(pieces), start=5.0), language=language)
    result = fitted([Cue(number=1, start=0, end=3, text=text)], heard)
    assert result.match == 1.0
    segment = result.segments[0]
    assert "".join(w.text for w in segment.words) == text.replace(" ", "")
    assert segment.words[0].start == pytest.approx(5.0)
    assert segment.words[-1].end == pytest.approx(heard.segments[0].words[-1].end, abs=0.11)


def test_words_follow_the_channel_they_were_heard_on():
    left, right = (
        transcription(spoken(HEARD, start=1.0)).segments[0],
        transcription(spoken("yes of course it is", start=4.0)).segments[0],
    )
    both = transcription([]).model_copy(
        update={
            "segments": (left.model_copy(update={"channel": "left"}), right.model_copy(update={"channel": "right"}))
        }
    )
    result = fitted([cue_of(HEARD, 0.0, 1), cue_of("Mhm.", 11.0, 2), cue_of("Yes, of course it is!", 12.0, 3)], both)
    assert [s.channel for s in result.segments] == ["left", "left", "right"]


given_cue = st.builds(
    lambda number, start, seconds, text: Cue(number=number, start=start, end=start + seconds, text=text),
    st.integers(1, 99),
    st.floats(0, 90),
    st.floats(0, 10),
    st.lists(words | st.sampled_from(HEARD.split()), min_size=1, max_size=12).map(" ".join),
)


@settings(max_examples=200, deadline=None)
@examples(st.lists(given_cue, min_size=1, max_size=6), st.sampled_from(["en", "ja"]))
def test_no_given_word_is_lost_or_misplaced(cues, language):
    heard = transcription(spoken(HEARD, start=3.0), language=language)
    cues.sort(key=lambda cue: cue.start)
    with patch.object(given, "_MISMATCH", 0.0):
        result = fitted(cues, heard)
    assert [s.text for s in result.segments] == texts(cues)
    for cue, segment in zip(cues, result.segments, strict=True):
        assert "".join(w.text for w in segment.words) == cue.text.replace(" ", "")
        assert segment.start <= min(w.start for w in segment.words)
        assert max(w.end for w in segment.words) <= segment.end <= 60.0
        assert all(w.start <= w.end for w in segment.words)


# --- fitting, on real recordings ---


@pytest.fixture(scope="module")
def recognise(whisper, testdata, tmp_path_factory):
    """What Whisper base hears in a recording, and its audio."""
    folder = tmp_path_factory.mktemp("recordings")

    def hear(relative):
        recording = testdata / relative
        flac = folder / f"{recording.stem}.flac"
        seconds = decode_audio(recording, probe(recording), flac, max_seconds=600).seconds
        return recognise_file(flac, seconds, whisper, Asked("en"), lambda _: None), flac

    return hear


@pytest.fixture(scope="module")
def sonnet(recognise):
    return recognise("en_sonnets/p001.mp3")


@pytest.fixture(scope="module")
def sonnet_cues(testdata):
    return given.parse((testdata / "formats_sonnet001" / "sonnet001.srt").read_bytes(), "sonnet001.srt")


def changed(cues, drift=1.0, offset=0.0):
    return [
        cue.model_copy(update={"start": max(cue.start * drift + offset, 0), "end": max(cue.end * drift + offset, 0)})
        for cue in cues
    ]


@pytest.mark.parametrize(
    ("drift", "offset"), [(1.0, 0.0), (1.0, 12.3), (1.0, 600.0), (25 / 23.976, 0.0), (23.976 / 25, 100.0)]
)
def test_a_real_reading_is_found_wherever_its_subtitles_claim_to_be(sonnet, sonnet_cues, drift, offset):
    heard, _ = sonnet
    result = fitted(changed(sonnet_cues, drift, offset), heard, heard.audio_seconds)
    assert result.match > 0.85
    assert result.doubtful_cues == ()
    assert result.drift == pytest.approx(1 / drift, abs=0.005)
    errors = [abs(found.start - true.start) for found, true in zip(result.cues, sonnet_cues, strict=True)]
    assert max(errors) <= 0.35
    by_words = [abs(found.start - true.start) for found, true in zip(result.segments, sonnet_cues, strict=True)]
    assert float(np.median(by_words)) <= 0.15


def test_srt_and_webvtt_of_one_reading_are_the_same(testdata, sonnet_cues):
    vtt = given.parse((testdata / "formats_sonnet001" / "sonnet001.vtt").read_bytes(), "sonnet001.vtt")
    assert vtt == sonnet_cues


def test_half_of_the_cues_may_be_wrong(sonnet, sonnet_cues):
    heard, _ = sonnet
    garbage = ["Der", "abenteuerliche", "Simplicissimus", "ging", "damals", "in", "den", "dunklen", "Wald"]
    half = [
        cue if cue.number % 2 else cue.model_copy(update={"text": " ".join(garbage[n % 4 : n % 4 + 6])})
        for n, cue in enumerate(changed(sonnet_cues, offset=5.0))
    ]
    result = fitted(half, heard, heard.audio_seconds)
    assert result.offset_seconds == pytest.approx(-5.0, abs=0.6)
    kept = [abs(found.start - true.start) for found, true in zip(result.segments, sonnet_cues, strict=True)][::2]
    assert float(np.median(kept)) <= 0.3
    assert set(result.doubtful_cues) == {cue.number for cue in half if cue.number % 2 == 0}


def test_cues_may_be_missing(sonnet, sonnet_cues):
    heard, _ = sonnet
    kept = [cue for cue in sonnet_cues if cue.number % 3]
    result = fitted(changed(kept, offset=12.3), heard, heard.audio_seconds)
    assert result.offset_seconds == pytest.approx(-12.3, abs=0.35)
    assert len(result.segments) == len(kept)


def test_another_sonnet_by_the_same_reader_is_refused(testdata, sonnet):
    heard, _ = sonnet
    text = (testdata / "en_sonnets" / "p002.txt").read_text().split()
    cues = [cue_of(" ".join(text[n : n + 9]), n * 0.45, n // 9 + 1) for n in range(0, len(text), 9)]
    with pytest.raises(PipelineError) as raised:
        fitted(cues, heard, heard.audio_seconds)
    assert raised.value.code is ErrorCode.GIVEN_TRANSCRIPT_MISMATCH


def test_subtitles_of_a_real_video(testdata, recognise):
    heard, _ = recognise("video_srt/subsai_test1.webm")
    cues = given.parse((testdata / "video_srt" / "subsai_test1.srt").read_bytes(), "subsai_test1.srt")
    result = fitted(cues, heard, heard.audio_seconds)
    assert result.match > 0.9
    assert [s.text for s in result.segments] == texts(cues)
    assert "The is Artificial Intelligence." in texts(cues)  # the people's mistake, and it stays


def test_given_words_are_aligned_and_make_a_transcript(sonnet, sonnet_cues):
    heard, flac = sonnet
    result = fitted(changed(sonnet_cues, offset=12.3), heard, heard.audio_seconds)
    placed = align(
        result.segments, pocketsphinx.load(), "test", audio_of=lambda _: flac, audio_seconds=heard.audio_seconds
    )
    said = [w.text for s in placed.segments for w in s.words]
    assert said == " ".join(texts(sonnet_cues)).split()
    assert placed.aligned_words > 0.9 * len(said)
    starts = [abs(s.start - cue.start) for s, cue in zip(placed.segments, sonnet_cues, strict=True)]
    assert float(np.median(starts)) <= 0.1
    transcript = build_transcript(heard, Alignment(aligner="x", segments=placed.segments), diarization([]), result)
    assert [w.text for w in transcript.words] == said
    assert transcript.text_source == "given"
    assert transcript.quality.given_match == result.match
    assert transcript.paragraphs[0].start == transcript.segments[0].start
