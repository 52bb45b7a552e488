"""From words and turns to a transcript: whose word it is, where sentences and paragraphs end, what is honest."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.speech.samples import diarization, spoken, transcript_of, transcription, turn, word
from transcribe_pipeline.artifacts import RecognisedWord, SpeakerTurn, Transcript
from transcribe_pipeline.speech.assign import assign_speakers, keep_sentences_whole

NOBODY = diarization([])


def texts(result: Transcript) -> list[str]:
    return [segment.text for segment in result.segments]


def sentences(text: str, language: str = "en") -> list[str]:
    return texts(transcript_of(transcription(spoken(text), language=language), NOBODY))


# --- whose word it is -----------------------------------------------------------------------------------------------

TURNS = [turn("ann", 1, 2), turn("bob", 2, 3), turn("cid", 8, 9)]


@pytest.mark.parametrize(
    ("start", "end", "speaker"),
    [
        (1.2, 1.6, "ann"),
        (1.7, 2.4, "bob"),
        (1.4, 2.3, "ann"),
        (0.0, 0.2, "ann"),
        (3.5, 3.9, "bob"),
        (7.0, 7.4, "cid"),
        (20.0, 20.5, "cid"),
        (2.5, 2.5, "bob"),
        (0.0, 30.0, "ann"),  # all the same overlap: the first
    ],
)
def test_a_word_goes_to_the_largest_overlap_or_the_nearest_turn(start, end, speaker):
    assert assign_speakers([word("so", start, end)], TURNS) == [speaker]


def test_without_turns_words_have_no_speaker():
    result = transcript_of(transcription(spoken("Who is it?")), NOBODY)
    assert {w.speaker for w in result.words} == {None}
    assert result.speakers == ()


moments = st.floats(0, 60, allow_nan=False).map(lambda seconds: round(seconds, 3))
spans = st.tuples(moments, st.floats(0, 5).map(lambda seconds: round(seconds, 3)))


@st.composite
def exclusive_turns(draw: st.DrawFn) -> list[SpeakerTurn]:
    edges = sorted(draw(st.lists(moments, max_size=16, unique=True)))
    who = st.sampled_from("abc")
    pairs = [pair for pair in pairwise(edges) if draw(st.booleans())]
    return [turn(draw(who), start, end) for start, end in pairs]


@st.composite
def recognised(draw: st.DrawFn) -> list[RecognisedWord]:
    """Words as bad as a recogniser may give them: backwards, overlapping, without length."""
    vocabulary = st.sampled_from(["So", "well,", "yes.", "Dr.", "I", "A.", "über", "etc.", "3.5", "No.", "です。", "…"])
    return [word(draw(vocabulary), start, start + length) for start, length in draw(st.lists(spans, max_size=25))]


@settings(deadline=None)
@given(recognised(), exclusive_turns())
def test_the_binary_search_finds_what_a_full_search_finds(words, turns):
    def distance(w: RecognisedWord, t: SpeakerTurn) -> float:
        return max(w.start, t.start) - min(w.end, t.end)

    for w, speaker in zip(words, assign_speakers(words, turns), strict=True):
        best = min((distance(w, t) for t in turns), default=None)
        assert speaker in ({t.speaker for t in turns if distance(w, t) == best} or {None})


def test_labels_are_numbered_by_appearance_of_words_then_of_turns():
    turns = [turn("silent", 0, 0.5), turn("z", 1, 2), turn("a", 3, 4)]
    result = transcript_of(transcription([word("Hi.", 1.1, 1.4), word("Hello.", 3.1, 3.5)]), diarization(turns))
    assert [segment.speaker for segment in result.segments] == ["SPEAKER_00", "SPEAKER_01"]
    assert [t.speaker for t in result.turns] == ["SPEAKER_02", "SPEAKER_00", "SPEAKER_01"]
    assert [(s.label, s.words, s.seconds, s.embedding[0]) for s in result.speakers] == [
        ("SPEAKER_00", 1, 1.0, 1.0),
        ("SPEAKER_01", 1, 1.0, 2.0),
        ("SPEAKER_02", 0, 0.5, 0.0),
    ]


def test_overlap_is_kept_in_the_turns_and_in_talk_time():
    overlapping = [turn("a", 0, 3), turn("b", 2, 4)]
    exclusive = [turn("a", 0, 2), turn("b", 2, 4)]
    result = transcript_of(transcription([word("Yes.", 2.2, 2.6)]), diarization(overlapping, exclusive))
    assert [(t.speaker, t.start, t.end) for t in result.turns] == [("SPEAKER_01", 0, 3), ("SPEAKER_00", 2, 4)]
    assert {s.label: s.seconds for s in result.speakers} == {"SPEAKER_00": 2.0, "SPEAKER_01": 3.0}
    assert [w.speaker for w in result.words] == ["SPEAKER_00"]


# --- sentences ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith met Mrs. Jones vs. Prof. Lee.",
        "J. R. R. Tolkien wrote it.",
        "It costs approx. ten euros.",
        "Yahoo! is a company.",
        "Turn to page no. 7 please.",
        "Das sind z. B. Hunde.",
    ],
)
def test_a_full_stop_inside_a_sentence_does_not_end_it(text):
    assert sentences(text) == [text]


@pytest.mark.parametrize(
    "expected",
    [
        ["It is done.", "Is it?", "Yes!"],
        ["Did you?", "No.", "I did not."],
        ["“Really?”", "He said so."],
        ["What a pity…", "Never mind."],
    ],
)
def test_sentences_end(expected):
    assert sentences(" ".join(expected)) == expected


@pytest.mark.parametrize(
    ("language", "words", "expected"),
    [
        ("ja", "これは ペン です。 そう です か？ はい", ["これはペンです。", "そうですか？", "はい"]),  # noqa: RUF001
        ("zh", "你好！ 我 很 好。", ["你好！", "我很好。"]),  # noqa: RUF001
        ("ar", "كيف حالك؟ أنا بخير.", ["كيف حالك؟", "أنا بخير."]),
        ("hi", "यह ठीक है। हाँ", ["यह ठीक है।", "हाँ"]),
    ],
)
def test_other_scripts_end_their_sentences_too(language, words, expected):
    assert sentences(words, language) == expected


def test_a_long_pause_ends_a_sentence_and_a_paragraph():
    words = spoken("and then we") + spoken("went home", start=10)
    result = transcript_of(transcription(words), NOBODY)
    assert texts(result) == ["and then we", "went home"]
    assert [(p.first_segment, p.last_segment) for p in result.paragraphs] == [(0, 0), (1, 1)]


def test_a_change_of_speaker_ends_a_sentence():
    result = transcript_of(transcription(spoken("one two three four")), diarization([turn("a", 0, 1), turn("b", 1, 2)]))
    assert texts(result) == ["one two", "three four"]


def test_a_long_sentence_is_cut_at_a_clause():
    words = spoken(" ".join(["word"] * 42 + ["here,"] + ["word"] * 30))
    first, second = transcript_of(transcription(words), NOBODY).segments
    assert first.text.endswith("here,")
    assert second.words[0].text == "word"


def test_an_endless_sentence_is_cut_anyway():
    segments = transcript_of(transcription(spoken("word " * 400)), NOBODY).segments
    assert all(segment.end - segment.start <= 31 for segment in segments)
    assert len(segments) == 7


def test_a_long_monologue_has_paragraphs():
    words = spoken("This is a sentence of seven words. " * 40)
    result = transcript_of(transcription(words), NOBODY)
    assert [round(p.end - p.start) for p in result.paragraphs] == [63, 63, 14]


# --- all of it ------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(recognised(), exclusive_turns(), st.sampled_from(["en", "ja", "und"]))
def test_nothing_is_lost_reordered_or_out_of_time(words, turns, language):
    result = transcript_of(transcription(words, language=language), diarization(turns))
    assert [w.text for w in result.words] == [w.text for w in words]
    assert [w.probability for w in result.words] == [w.probability for w in words]
    assert result.no_speech == (not words)
    for before, after in pairwise(result.words):
        assert before.start <= after.start
    for number, segment in enumerate(result.segments):
        assert segment.id == number
        assert {w.speaker for w in segment.words} == {segment.speaker}
        assert all(segment.start <= w.start <= w.end <= segment.end for w in segment.words)
    covered = [n for p in result.paragraphs for n in range(p.first_segment, p.last_segment + 1)]
    assert covered == list(range(len(result.segments)))
    for paragraph in result.paragraphs:
        inside = result.segments[paragraph.first_segment : paragraph.last_segment + 1]
        assert {segment.speaker for segment in inside} == {paragraph.speaker}
    assert sum(speaker.words for speaker in result.speakers) == (len(words) if turns else 0)


def test_quality_is_honest():
    words = [word("so", 1.0, 1.5, 0.4), word("it", 1.5, 2.0, 0.8), word("is.", 6.0, 6.5, 0.9)]
    quality = transcript_of(transcription(words, speech=[(0.5, 2.5), (6.0, 8.0)]), NOBODY).quality
    assert quality.mean_confidence == 0.7
    assert quality.low_confidence_words == 1
    assert quality.speech_seconds == 4.0
    assert quality.covered_speech_seconds == 1.5


def test_no_words_are_no_speech_whatever_the_diarizer_found():
    result = transcript_of(transcription([], language="und"), diarization([turn("a", 0, 1)]))
    assert result.no_speech
    assert (result.segments, result.paragraphs, result.speakers, result.turns) == ((), (), (), ())
    assert result.quality.mean_confidence is None


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("Neither did I. Okay.", "aab b", "aaa b"),
        ("And I'm Sheila in Texas. Oh.", "baaaa b", "aaaaa b"),
        # Interruptions, and sentences that two people share evenly, stay as they are.
        ("I thought you said so. Oh.", "aabbb b", "aabbb b"),
        ("So it is. Yes.", "aab b", "aaa b"),
        ("Is it? Yes.", "ab b", "ab b"),
    ],
)
def test_stray_words_go_to_who_says_the_rest_of_the_sentence(text, before, after):
    words = spoken(text)
    assert keep_sentences_whole(words, list(before.replace(" ", ""))) == list(after.replace(" ", ""))
