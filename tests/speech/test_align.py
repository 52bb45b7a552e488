"""Choosing an aligner, feeding it, and the promises about its answer: with the real aligner, and with hostile ones."""

import math
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.speech.samples import spoken, word
from transcribe_pipeline.artifacts import RecognisedSegment
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.speech import align as alignment
from transcribe_pipeline.speech.align import align, choose
from transcribe_pipeline.speech.aligners import pocketsphinx, whisperx

AUDIO_SECONDS = 12.0


def segment(words, **others) -> RecognisedSegment:
    return RecognisedSegment(
        start=words[0].start, end=words[-1].end, text=" ".join(w.text for w in words), words=tuple(words), **others
    )


class Engine:
    """An aligner of which the test says what it answers."""

    name = "engine"

    def __init__(self, answer):
        self.answer = answer
        self.heard = []

    def align(self, samples, utterances):
        self.heard += [(samples.size / 16_000, utterance) for utterance in utterances]
        return [self.answer(utterance) for utterance in utterances]


@pytest.fixture(scope="module")
def silence(tmp_path_factory):
    path = tmp_path_factory.mktemp("audio") / "silence.flac"
    soundfile.write(path, np.zeros(round(AUDIO_SECONDS * 16_000)), 16_000)
    return path


def run(segments, engine, audio, seconds=AUDIO_SECONDS, reason="test"):
    return align(segments, engine, reason, audio_of=lambda _: audio, audio_seconds=seconds)


def texts(segments):
    return [[w.text for w in s.words] for s in segments]


def starts(aligned):
    return [w.start for s in aligned.segments for w in s.words]


def moved_by(seconds):
    """An engine that knows better by so much."""
    recognised = {w.text: w for w in spoken("one two three four five six", start=2.0)}
    return Engine(
        lambda u: [(recognised[t].start - (2.0 - 0.3) + seconds, recognised[t].end - 1.7 + seconds) for t in u.words]
    )


# --- promises ---


def assert_promises(before, aligned, seconds):
    assert texts(aligned.segments) == texts(before)
    assert [s.text for s in aligned.segments] == [s.text for s in before]
    assert [s.channel for s in aligned.segments] == [s.channel for s in before]
    for channel in {s.channel for s in before}:
        own = [s for s in aligned.segments if s.channel == channel]
        words = [w for s in own for w in s.words]
        assert all(a.start <= b.start for a, b in pairwise(words))
        for s in own:
            assert all(0 <= s.start <= w.start <= w.end <= s.end <= seconds for w in s.words)


times = st.floats(0, 15, allow_nan=False)


@st.composite
def recognised(draw):
    """Segments as bad as a recogniser could give them: out of order, overlapping, empty, beyond the audio."""
    segments = []
    for _ in range(draw(st.integers(0, 5))):
        begin = draw(times)
        words = []
        for _ in range(draw(st.integers(0, 5))):
            start = draw(times)
            words.append(
                word(draw(st.sampled_from(["a", "1984", "—", "well-known"])), start, start + draw(st.floats(0, 2)))
            )
        segments.append(
            RecognisedSegment(
                start=words[0].start if words else begin,
                end=max((w.end for w in words), default=begin),
                text="as it was",
                words=tuple(words),
                channel=draw(st.sampled_from([None, "left", "right"])),
                times_are_estimates=draw(st.booleans()),
            )
        )
    return segments


any_float = st.floats(-5, 20) | st.sampled_from([math.nan, math.inf, -math.inf])
any_span = st.none() | st.tuples(any_float, any_float)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(segments=recognised(), data=st.data())
def test_nothing_an_engine_answers_breaks_the_promises(silence, segments, data):
    def hostile(utterance):
        count = len(utterance.words)
        honest_length = st.lists(any_span, min_size=count, max_size=count)
        return data.draw(honest_length | st.lists(any_span, max_size=3))

    aligned = run(segments, Engine(hostile), silence)
    assert_promises(segments, aligned, AUDIO_SECONDS)
    assert aligned.aligned_words <= sum(len(s.words) for s in segments)


@settings(max_examples=100, deadline=None)
@given(
    guesses=st.lists(st.tuples(times, times).map(sorted).map(tuple), min_size=1, max_size=8),
    data=st.data(),
)
def test_gaps_are_filled_in_order(guesses, data):
    mask = data.draw(st.lists(st.booleans(), min_size=len(guesses), max_size=len(guesses)))
    latest, known = 0.0, []
    for is_known in mask:
        latest += data.draw(st.floats(0, 3))
        known.append((latest, latest + data.draw(st.floats(0, 3))) if is_known else None)
    filled = alignment.fill_gaps(sorted(guesses), known, 30.0)
    assert all(start <= end + 1e-9 for start, end in filled)
    assert all(left[0] <= right[0] + 1e-9 for left, right in pairwise(filled))
    for n, span in enumerate(known):
        if span:
            assert filled[n][0] == span[0]
            assert all(end <= span[0] + 1e-9 for _, end in filled[:n])
    assert all(end <= 30.0 for _, end in filled)


# --- what is believed ---


def test_an_aligners_times_are_taken(silence):
    before = [segment(spoken("one two three four five six", start=2.0))]
    aligned = run(before, moved_by(0.2), silence)
    assert aligned.aligner == "engine"
    assert aligned.aligned_words == 6
    assert starts(aligned) == pytest.approx([2.2, 2.7, 3.2, 3.7, 4.2, 4.7])
    assert (aligned.segments[0].start, aligned.segments[0].end) == (2.2, pytest.approx(5.1))


def test_a_segment_whose_words_would_move_far_keeps_its_times(silence):
    before = [segment(spoken("one two three four five six", start=2.0))]
    aligned = run(before, moved_by(-0.9), silence)
    assert aligned.segments == tuple(before)
    assert aligned.aligner == "recogniser"
    assert "lost its place" in aligned.reason


def test_times_that_are_only_estimates_are_no_reason_for_doubt(silence):
    before = [segment(spoken("one two three four five six", start=2.0), times_are_estimates=True)]
    aligned = run(before, moved_by(-0.9), silence)
    assert aligned.aligned_words == 6 - 2  # the first two would begin before the utterance does
    assert aligned.segments[0].words[2].start == pytest.approx(2.1)
    assert not aligned.segments[0].times_are_estimates


def test_words_that_the_engine_skips_lie_between_their_neighbours(silence):
    def without_three_and_four(utterance):
        return [None if n in (2, 3) else (0.3 + 0.5 * n, 0.7 + 0.5 * n) for n in range(6)]

    aligned = run([segment(spoken("one two three four five six", start=2.0))], Engine(without_three_and_four), silence)
    assert aligned.aligned_words == 4
    assert starts(aligned) == pytest.approx([2.0, 2.5, 3.0, 3.5, 4.0, 4.5])


def test_where_a_neighbour_took_their_place_they_share_what_is_left(silence):
    def greedy(utterance):
        return [(0.3, 1.65), None, None, (1.8, 2.2), (2.3, 2.7)]

    aligned = run([segment(spoken("one two three four five", start=2.0))], Engine(greedy), silence)
    assert starts(aligned) == pytest.approx([2.0, 3.35, 3.425, 3.5, 4.0])


def test_an_engine_that_answers_the_wrong_number_of_words_is_not_believed(silence):
    before = [segment(spoken("one two three", start=2.0))]
    assert run(before, Engine(lambda _: [(0.3, 0.5)]), silence).segments == tuple(before)


def test_without_an_aligner_the_recognisers_times_stay(silence):
    before = [segment(spoken("one two three", start=2.0))]
    kept = run(before, None, silence, reason="switched off")
    assert (kept.aligner, kept.reason, kept.segments, kept.aligned_words) == (
        "recogniser",
        "switched off",
        tuple(before),
        0,
    )


def test_no_speech_is_aligned_to_nothing(silence):
    assert run([], moved_by(0), silence).segments == ()


# --- what an engine hears ---


def test_segments_are_joined_where_nobody_pauses_and_margins_avoid_the_neighbours(silence):
    before = [
        segment(spoken("one two three", start=1.0)),  # ends at 2.4
        segment(spoken("four five six", start=2.6)),  # ends at 4.0
        segment(spoken("one two", start=4.6)),  # ends at 5.5, 0.1 s before
        segment([word("three", 6.2, 6.6)]),
    ]
    engine = Engine(lambda u: [None] * len(u.words))
    run(before, engine, silence)
    heard = [(round(u.start + 0.7, 3), round(u.end + 0.7, 3), " ".join(u.words)) for _, u in engine.heard]
    assert heard == [
        (0.7, 4.3, "one two three four five six"),
        (4.3, 5.8, "one two"),
        (5.9, 6.9, "three"),
    ]


def test_a_long_recording_is_heard_in_windows(tmp_path):
    flac = tmp_path / "long.flac"
    soundfile.write(flac, np.zeros(1000 * 16_000, dtype=np.int16), 16_000)
    before = [segment(spoken("one two three four", start=n * 10.0)) for n in range(100)]
    before.append(segment([word("endless", 0.0, 1000.0)]))
    engine = Engine(lambda u: [None] * len(u.words))
    aligned = run(before, engine, flac, 1000.0)
    assert len(engine.heard) == 100
    assert max(seconds for seconds, _ in engine.heard) <= 130
    assert texts(aligned.segments) == texts(before)


def test_each_channel_is_heard_in_its_own_audio(silence, tmp_path):
    asked = []

    def audio_of(channel):
        asked.append(channel)
        return silence

    before = [
        segment(spoken("one two three", start=1.0), channel="left"),
        segment(spoken("four five six", start=1.2), channel="right"),
        segment(spoken("one two", start=3.0), channel="left"),
    ]
    engine = Engine(lambda u: [(0.3 + 0.5 * n, 0.7 + 0.5 * n) for n in range(len(u.words))])
    progress = []
    aligned = align(before, engine, "", audio_of=audio_of, audio_seconds=AUDIO_SECONDS, on_progress=progress.append)
    assert asked == ["left", "right"]
    assert_promises(before, aligned, AUDIO_SECONDS)
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


# --- choice ---


@pytest.fixture
def empty_caches(tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def test_english_has_an_aligner_on_every_machine(empty_caches):
    aligner, reason = choose("auto", "en")
    assert aligner is pocketsphinx.load()
    assert "best at hand" in reason


@pytest.mark.parametrize(
    ("aligner", "language", "reason"),
    [
        ("none", "en", "switched off"),
        ("auto", "de", "no alignment model for 'de'"),
        ("auto", "und", "no alignment model"),
        ("pocketsphinx", "de", "English only"),
        ("whisperx", "xx", "knows no alignment model"),
    ],
)
def test_otherwise_the_recognisers_times_are_kept_and_it_says_why(empty_caches, aligner, language, reason):
    chosen, why = choose(aligner, language)
    assert chosen is None
    assert reason in why


def test_a_model_that_cannot_be_loaded_costs_precision_not_the_transcript(tmp_path):
    chosen, why = choose("whisperx", "de", alignment_model=str(tmp_path))
    assert chosen is None
    assert "could not be loaded" in why


def test_auto_goes_on_where_the_configured_model_is_damaged(tmp_path):
    assert choose("auto", "en", alignment_model=str(tmp_path))[0] is pocketsphinx.load()


def test_a_missing_package_is_an_error(monkeypatch):
    monkeypatch.setattr(whisperx, "is_installed", lambda: False)
    with pytest.raises(PipelineError) as raised:
        choose("whisperx", "en")
    assert raised.value.code is ErrorCode.ENGINE_MISSING


# --- the real thing ---


def test_pocketsphinx_is_closer_to_the_reference_than_the_recogniser(testdata, flac):
    """Word starts where clips of different readings were joined, as Whisper base gave them and after alignment."""
    audio, seconds = flac(testdata / "syn_en_lj_long" / "syn_en_lj_long.flac")
    lines = [
        line.split(maxsplit=5) for line in (testdata / "syn_en_lj_long" / "syn_en_lj_long.stm").read_text().splitlines()
    ]
    truth = [float(line[3]) for line in lines[:12]]
    before = []
    for _, _, _, start, end, text in lines[:12]:
        pieces, begin = text.split(), float(start)
        step = (float(end) - begin) / len(pieces)
        words = [word(piece, begin + n * step, begin + (n + 1) * step) for n, piece in enumerate(pieces)]
        before.append(segment(words, times_are_estimates=True).model_copy(update={"start": max(begin - 0.3, 0)}))
    aligned = run(before, pocketsphinx.load(), audio, seconds)
    errors = [abs(s.words[0].start - expected) for s, expected in zip(aligned.segments, truth, strict=True)]
    assert aligned.aligned_words > 0.95 * sum(len(s.words) for s in before)
    assert float(np.median(errors)) <= 0.05
    assert max(errors) <= 0.3
