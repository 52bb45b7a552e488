"""All figures together: a conversation worked out by hand, laws that always hold, and references of real recordings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.strategies import transcripts
from tests.export.transcripts import timed, transcript_of
from tests.insight.analytics.references import reference_transcript
from tests.scoring import truth
from transcribe_pipeline.artifacts import SpeakerTurn, Transcript, TranscriptSpeaker
from transcribe_pipeline.evaluation.references import Turn
from transcribe_pipeline.insight.analytics import analytics
from transcribe_pipeline.insights import Analytics, SpeakerFigures

A, B, C = "SPEAKER_00", "SPEAKER_01", "SPEAKER_02"
Spoken = tuple[str, float, float, str]
"""Speaker, start, end, words spread evenly."""


def conversation(spoken: Sequence[Spoken], seconds: float, language: str = "en") -> Transcript:
    """A turn of diarization, and a segment where there are words, for each."""
    said = []
    for speaker, start, end, text in spoken:
        each = (end - start) / max(len(text.split()), 1)
        said.append((speaker, timed(text, start, each, pause=0.0)))
    labels = dict.fromkeys(speaker for speaker, *_ in spoken)
    return transcript_of(said, language, audio_seconds=seconds).model_copy(
        update={
            "turns": tuple(SpeakerTurn(start=s, end=e, speaker=speaker) for speaker, s, e, _ in spoken),
            "speakers": tuple(TranscriptSpeaker(label=label, seconds=0.0, words=0) for label in labels),
        }
    )


# --- by hand --------------------------------------------------------------------------------------------------------


def by_hand() -> Analytics:
    return analytics(
        conversation(
            [
                (A, 0.0, 6.0, "Um, shall we move the meeting to Friday, or to Monday morning?"),  # 12 words
                (B, 2.0, 2.5, "Mhm."),  # a back-channel
                (B, 6.5, 7.0, "Friday."),  # short, but an answer
                (A, 8.0, 14.0, "Friday then. The room is booked until noon, so we begin early."),  # 12
                (B, 12.0, 20.0, "Early is hard for me, I, uh, have to take the children to school."),  # 14, into A's
                (A, 23.0, 25.0, "Oh. At ten?"),  # 3; 3 s later
            ],
            seconds=40.0,
        ),
        "version-1",
    )


def test_a_conversation_by_hand() -> None:
    found = by_hand()
    assert (found.transcript_id, found.language, found.made_by.method) == ("version-1", "en", "offline")
    assert (found.word_unit, found.words, found.seconds) == ("words", 43, 40.0)
    # 0-6, 6.5-7, 8-20, 23-25.
    assert (found.speech_seconds, found.silence_seconds) == (20.5, 19.5)
    assert found.silence_share == pytest.approx(19.5 / 40)
    # The back-channel and 12-14.
    assert found.overlap_seconds == 2.5
    # A 0-6, B 6.5-7, A 8-14, B 12-20, A 23-25.
    assert (found.turns, found.backchannels, found.interruptions, found.questions) == (5, 1, 1, 2)
    assert found.turn_seconds
    assert (found.turn_seconds.median, found.turn_seconds.longest) == (6.0, 8.0)
    # 0.5, 1, -2, 3.
    assert found.response_latency_seconds
    assert (found.response_latency_seconds.count, found.response_latency_seconds.median) == (4, 0.75)
    # 14 s of A's and 9 s of B's talk.
    assert found.words_per_minute == pytest.approx(60 * 43 / 23)
    shares = np.array([14 / 23, 9 / 23])
    assert found.dominance == pytest.approx(1 + (shares * np.log2(shares)).sum())
    assert found.segment_words
    assert (found.segment_words.count, found.segment_words.median, found.segment_words.longest) == (6, 7.5, 14)
    assert [(window.words, window.talk_seconds) for window in found.pace] == [(43, 23.0), (0, 0.0)]


def test_its_speakers() -> None:
    a, b = by_hand().speakers
    assert (a.speaker, a.words, a.talk_seconds, a.talk_share) == (A, 27, 14.0, pytest.approx(14 / 23))
    assert (b.speaker, b.words, b.talk_seconds, b.talk_share) == (B, 16, 9.0, pytest.approx(9 / 23))
    assert (a.turns, b.turns) == (3, 2)
    assert (a.longest_monologue_seconds, b.longest_monologue_seconds) == (6.0, 8.0)
    assert a.words_per_minute == pytest.approx(60 * 27 / 14)
    assert (a.overlap_seconds, b.overlap_seconds) == (2.5, 2.5)
    assert (a.interruptions_made, a.interruptions_suffered, a.backchannels) == (0, 1, 0)
    assert (b.interruptions_made, b.interruptions_suffered, b.backchannels) == (1, 0, 1)
    assert (a.questions, b.questions) == (2, 0)
    assert (a.vocabulary.fillers, b.vocabulary.fillers) == (1, 1)
    assert a.vocabulary.fillers_per_100 == pytest.approx(100 / 27)
    assert a.response_latency_seconds
    assert b.response_latency_seconds
    assert (a.response_latency_seconds.median, b.response_latency_seconds.median) == (2.0, -0.75)
    # 'to' and 'friday' and 'we' and 'the' twice or more: to 2, friday 2, the 2, we 2.
    assert a.vocabulary.types == 27 - 4


# --- what may be missing --------------------------------------------------------------------------------------------


def test_without_speakers_nothing_is_said_of_them() -> None:
    found = analytics(transcript_of([(None, timed("Who knows? I do not."))], audio_seconds=10), "v")
    assert found.speakers == ()
    assert (found.turns, found.interruptions, found.backchannels, found.overlap_seconds) == (None, None, None, None)
    assert (found.words, found.questions, found.dominance) == (5, 1, None)
    # 5 words of 0.25 s, 0.05 s between them.
    assert found.speech_seconds == pytest.approx(1.45)


def test_without_speech() -> None:
    found = analytics(transcript_of([], audio_seconds=10), "v")
    assert (found.words, found.turns, found.interruptions, found.silence_share) == (0, 0, 0, 1.0)
    assert (found.words_per_minute, found.segment_words, found.turn_seconds) == (None, None, None)
    assert found.readability == {}
    assert analytics(transcript_of([], audio_seconds=0), "v").silence_share == 0.0


def test_one_speaker() -> None:
    found = analytics(conversation([(A, 0, 10, "On and on."), (A, 11, 20, "And on.")], 20), "v")
    (only,) = found.speakers
    assert (found.dominance, only.talk_share, only.turns, only.longest_monologue_seconds) == (None, 1.0, 1, 20.0)


def test_turns_of_one_speaker_that_overlap_count_once() -> None:
    found = analytics(conversation([(A, 0, 10, "a b c"), (A, 5, 12, "")], 20), "v")
    assert (found.speakers[0].talk_seconds, found.overlap_seconds) == (12.0, 0.0)


def test_turns_without_words_are_talk() -> None:
    found = analytics(conversation([(A, 0, 10, "a b c d e"), (B, 10.5, 15, "")], 20), "v")
    assert [(each.words, each.talk_seconds, each.words_per_minute) for each in found.speakers] == [
        (5, 10.0, 30.0),
        (0, 4.5, None),
    ]


def test_a_speaker_without_diarization_talks_where_their_segments_are() -> None:
    transcript = conversation([(A, 0, 10, "a b c d e"), (B, 10.5, 15, "f g h i j")], 20)
    found = analytics(transcript.model_copy(update={"turns": transcript.turns[:1]}), "v")
    assert [each.talk_seconds for each in found.speakers] == [10.0, 4.5]


def test_characters_where_there_are_no_spaces() -> None:
    transcript = transcript_of([(A, timed(["今日は", "AI", "の", "話です。"], seconds=1.0))], "ja", audio_seconds=10)
    found = analytics(transcript, "v")
    # 3 + 1 + 1 + 3 characters, all different; spoken in 4.15 s.
    assert (found.word_unit, found.words, found.vocabulary.types, found.vocabulary.mtld) == ("characters", 8, 8, None)
    assert found.words_per_minute == pytest.approx(60 * 8 / 4.15)


# --- laws -----------------------------------------------------------------------------------------------------------

_quarters = st.integers(0, 240).map(lambda n: n / 4)  # exact in binary, so that shifting changes no difference
_texts = st.sampled_from(["", "", "mhm", "yes", "What is it?", "I think so.", "no no no no no"])


@st.composite
def conversations(draw: st.DrawFn) -> list[Spoken]:
    spoken = draw(st.lists(st.tuples(st.sampled_from([A, B, C]), _quarters, st.integers(1, 40), _texts), max_size=20))
    return sorted((speaker, start, min(start + length / 4, 70.0), text) for speaker, start, length, text in spoken)


def of(spoken: Sequence[Spoken], seconds: float = 70.0) -> Analytics:
    return analytics(conversation(sorted(spoken, key=lambda each: each[1:3]), seconds), "v")


@settings(max_examples=60, deadline=None)
@given(conversations())
def test_parts_make_the_whole(spoken: list[Spoken]) -> None:
    found = of(spoken)
    each = found.speakers
    assert found.speech_seconds + found.silence_seconds == pytest.approx(found.seconds)
    assert sum(one.talk_share for one in each) == pytest.approx(1.0 if each else 0.0)
    assert found.turns == sum(one.turns for one in each)
    assert found.backchannels == sum(one.backchannels for one in each)
    assert found.interruptions == sum(one.interruptions_made for one in each)
    assert found.interruptions == sum(one.interruptions_suffered for one in each)
    assert found.words == sum(one.words for one in each) == sum(window.words for window in found.pace)
    assert found.questions == sum(one.questions or 0 for one in each)
    for one in each:
        assert one.words == sum(window.words for window in one.pace)
        assert one.talk_seconds == pytest.approx(sum(window.talk_seconds for window in one.pace))
        assert one.longest_monologue_seconds >= (one.turn_seconds.longest if one.turn_seconds else 0.0)


@settings(max_examples=60, deadline=None)
@given(conversations())
def test_limits(spoken: list[Spoken]) -> None:
    found = of(spoken)
    assert found.overlap_seconds is not None
    assert 0 <= found.overlap_seconds <= found.speech_seconds <= found.seconds
    talk = sum(one.talk_seconds for one in found.speakers)
    # Where two or three talk, the second and the third are more than the union.
    assert found.overlap_seconds <= talk - found.speech_seconds + 1e-9 <= 2 * found.overlap_seconds + 2e-9
    for one in found.speakers:
        assert one.overlap_seconds <= min(one.talk_seconds, found.overlap_seconds)
    assert found.dominance is None or 0 <= found.dominance <= 1


def without_names(figures: SpeakerFigures) -> SpeakerFigures:
    return figures.model_copy(update={"speaker": ""})


@settings(max_examples=40, deadline=None)
@given(conversations(), st.permutations(["SPEAKER_07", "Z", "SPEAKER_03"]))
def test_names_do_not_matter(spoken: list[Spoken], others: list[str]) -> None:
    names = dict(zip([A, B, C], others, strict=True))
    spoken.sort(key=lambda each: each[1:3])
    renamed = [(names[speaker], *rest) for speaker, *rest in spoken]
    plain, other = of(spoken), of(renamed)  # type: ignore[arg-type]
    assert [one.speaker for one in other.speakers] == [names[one.speaker] for one in plain.speakers]
    assert [without_names(one) for one in other.speakers] == [without_names(one) for one in plain.speakers]
    assert other.model_copy(update={"speakers": ()}) == plain.model_copy(update={"speakers": ()})


@settings(max_examples=40, deadline=None)
@given(conversations())
def test_silence_before_the_first_word_changes_only_silence(spoken: list[Spoken]) -> None:
    shifted = of([(speaker, start + 1024, end + 1024, text) for speaker, start, end, text in spoken], 70.0 + 1024)
    plain = of(spoken)
    # Segments are as long as their words, which are no quarters of a second.
    changed = {"seconds": 0.0, "silence_seconds": 0.0, "silence_share": 0.0, "pace": (), "segment_seconds": None}
    changed |= {"speakers": ()}
    assert shifted.model_copy(update=changed) == plain.model_copy(update=changed)
    assert shifted.silence_seconds == plain.silence_seconds + 1024


@settings(max_examples=40, deadline=None)
@given(conversations())
def test_said_twice_is_twice_as_much(spoken: list[Spoken]) -> None:
    again = [(speaker, start + 128, end + 128, text) for speaker, start, end, text in spoken]
    once, twice = of(spoken), of([*spoken, *again], 70.0 + 128)
    for figure in ("words", "turns", "backchannels", "interruptions", "questions", "overlap_seconds", "speech_seconds"):
        assert getattr(twice, figure) == 2 * getattr(once, figure), figure
    assert twice.vocabulary.types == once.vocabulary.types
    assert twice.dominance == pytest.approx(once.dominance)
    assert twice.words_per_minute == pytest.approx(once.words_per_minute) or once.words_per_minute is None


@settings(max_examples=40, deadline=None)
@given(transcripts())
def test_whatever_is_transcribed_has_figures(transcript: Transcript) -> None:
    found = analytics(transcript, "v")
    assert found == Analytics.model_validate_json(found.model_dump_json())
    assert found.speech_seconds + found.silence_seconds == pytest.approx(found.seconds)
    assert sum(window.words for window in found.pace) == found.words


# --- references of real recordings ----------------------------------------------------------------------------------

AMI = ("dev00", "dev01", "trn01", "trn02", "trn03", "trn04", "trn05")


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("syn_multi_7spk_text/syn_multi_7spk_text.flac", 147.202), *((f"multi_ami/{clip}.flac", 30.0) for clip in AMI)],
)
def test_times_are_those_of_the_reference(testdata: Path, name: str, seconds: float) -> None:
    """Counted again another way: by looking at every millisecond."""
    reference = truth(testdata / name)
    found = analytics(reference_transcript(reference, seconds), "v")
    active = activity(reference.turns, seconds)
    together = active.sum(axis=0)
    ms = pytest.approx
    assert found.speech_seconds == ms((together > 0).sum() / 1000, abs=0.002)
    assert found.silence_seconds == ms((together == 0).sum() / 1000, abs=0.002)
    assert found.overlap_seconds == ms((together > 1).sum() / 1000, abs=0.002)
    for one, own in zip(found.speakers, active, strict=True):
        assert one.talk_seconds == ms(own.sum() / 1000, abs=0.002)
        assert one.talk_share == ms(own.sum() / active.sum(), abs=1e-3)
        assert one.overlap_seconds == ms((own & (together > 1)).sum() / 1000, abs=0.002)


def activity(turns: Sequence[Turn], seconds: float) -> np.ndarray:
    """(speakers in order of appearance, milliseconds): who talks."""
    labels = list(dict.fromkeys(turn.speaker for turn in sorted(turns, key=lambda turn: turn.start)))
    active = np.zeros((len(labels), round(1000 * seconds)), bool)
    for turn in turns:
        active[labels.index(turn.speaker), round(1000 * turn.start) : round(1000 * turn.end)] = True
    return active


def test_seven_voices_one_after_the_other(testdata: Path) -> None:
    """17 readings; the last two are one speaker's, 0.8 s apart, and so one turn."""
    reference = truth(testdata / "syn_multi_7spk_text/syn_multi_7spk_text.flac")
    found = analytics(reference_transcript(reference, 147.202), "v")
    assert (found.turns, found.interruptions, found.backchannels, found.overlap_seconds) == (16, 0, 0, 0.0)
    assert found.words == sum(len(utterance.text.split()) for utterance in reference.utterances) == 381
    assert [one.turns for one in found.speakers] == [6, 5, 1, 1, 1, 1, 1]
    assert found.words_per_minute == pytest.approx(60 * 381 / found.speech_seconds)
    assert max(one.longest_monologue_seconds for one in found.speakers) == pytest.approx(24.333)
    # 15 gaps between 0.234 s and 1.271 s; the median is the one before 11.000 s of JFK, 18.797 - 18.029, or near it.
    assert found.response_latency_seconds
    assert found.response_latency_seconds.count == 15
    assert 0.5 < found.response_latency_seconds.median < 0.8


def test_readings_that_were_made_to_overlap(testdata: Path) -> None:
    """40 readings by four voices, every fourth begun before the end of the last: by 0.707, 0.341, 0.737, 0.320, 0.287,
    0.497, 0.281, 0.271 and 0.542 s. Three of these reach half a second. Two readings in a row are one voice's."""
    found = analytics(reference_transcript(truth(testdata / "syn_libri_4spk/syn_libri_4spk.flac"), 304.0), "v")
    assert (found.turns, found.interruptions, found.backchannels) == (39, 3, 0)
    assert found.overlap_seconds == pytest.approx(3.983)
    assert found.response_latency_seconds
    assert found.response_latency_seconds.count == 38


def test_a_meeting_by_hand(testdata: Path) -> None:
    """AMI, dev01. A 4.3-6.8, B 7.0-11.8, B 15.1-19.6, A 16.4-17.6, A 19.6-20.4, B 21.3-22.6, A 22.5-23.9, A 29.1-29.5.

    A talks into B's turn at 16.4 for 1.2 s, an interruption without success; at 19.6 for 0.8 s, whereupon B goes on: a
    back-channel. Turns: A, B, B after 3.4 s, the attempt, A 22.5, and A after 5.2 s. Responses: 7.024 - 6.752 and
    22.464 - 22.592.
    """
    found = analytics(reference_transcript(truth(testdata / "multi_ami/dev01.flac"), 30.0), "v")
    assert (found.turns, found.interruptions, found.backchannels) == (6, 1, 1)
    a, b = found.speakers
    assert (a.interruptions_made, b.interruptions_suffered, a.backchannels) == (1, 1, 1)
    assert found.response_latency_seconds
    assert found.response_latency_seconds.count == 2
    assert found.response_latency_seconds.mean == pytest.approx((0.272 - 0.128) / 2)
    assert found.words_per_minute is None  # what is said is not known
