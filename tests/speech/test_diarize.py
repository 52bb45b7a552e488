"""Who spoke when: senko with its own models on a real conversation, and our feature extraction beneath it."""

import importlib.util
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from transcribe_pipeline.artifacts import Diarization
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech import models
from transcribe_pipeline.speech.diarize import NoDiarizer, Senko, ordered_turns


@pytest.fixture(scope="session")
def senko_engine():
    return models.load_senko("cpu")


@pytest.fixture(scope="session")
def conversation() -> Path:
    """Half a minute of a telephone call between two people, which comes with pyannote.audio."""
    spec = importlib.util.find_spec("pyannote.audio")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent / "sample"


def error_rate(truth: Path, found: Diarization) -> float:
    """DER without collar, overlap scored."""
    from pyannote.core import Annotation, Segment
    from pyannote.database.util import load_rttm
    from pyannote.metrics.diarization import DiarizationErrorRate

    (reference,) = load_rttm(str(truth)).values()
    hypothesis = Annotation()
    for n, turn in enumerate(found.turns):
        hypothesis[Segment(turn.start, turn.end), n] = turn.speaker
    return float(DiarizationErrorRate(collar=0.0, skip_overlap=False)(reference, hypothesis))


@pytest.mark.e2e
def test_a_telephone_call(senko_engine, conversation):
    found = Senko(senko_engine).diarize(conversation / "sample.wav", 30.0)
    error = error_rate(conversation / "sample.rttm", found)
    print(f"DER of pyannote's sample with senko: {error:.4f}")
    assert error <= 0.25
    speakers = {turn.speaker for turn in found.turns}
    assert len(speakers) == 2
    assert {voice.speaker for voice in found.voices} == speakers
    assert {len(voice.embedding) for voice in found.voices} == {192}
    assert list(found.turns) == sorted(found.turns, key=lambda turn: turn.start)
    assert all(left.end <= right.start for left, right in pairwise(found.exclusive_turns))


@pytest.mark.parametrize("seconds", [0.01, 3.0])
def test_silence_has_no_turns(senko_engine, tmp_path, seconds):
    recording = tmp_path / "silence.flac"
    soundfile.write(recording, np.zeros(round(seconds * SAMPLE_RATE), np.float32), SAMPLE_RATE)
    assert Senko(senko_engine).diarize(recording, seconds).turns == ()


def test_switched_off():
    found = NoDiarizer().diarize(Path("unused"), 1.0)
    assert (found.turns, found.exclusive_turns, found.engine) == ((), (), "none")


def test_turns_are_ordered_rounded_and_never_empty():
    turns = ordered_turns([(2.0, 3.00049, "b"), (-0.1, 1.0, "a"), (1.0, 1.0002, "a"), (5.0, 4.0, "a")])
    assert [(t.start, t.end, t.speaker) for t in turns] == [(0.0, 1.0, "a"), (2.0, 3.0, "b")]


# --- features -------------------------------------------------------------------------------------------------------


def _tone(hertz: float, seconds: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


def test_features_have_kaldi_s_shape_and_no_mean(senko_engine):
    audio = np.random.default_rng(1).normal(0, 0.1, 4 * SAMPLE_RATE).astype(np.float32)
    flat, frames, offsets, bins = senko_engine._extract_fbank_features(audio, [(0.0, 1.5), (0.75, 2.25), (3.99, 4.0)])
    assert bins == 80
    assert frames.tolist() == [148, 148, 1]  # 25 ms frames every 10 ms; what is shorter is padded to one frame
    assert offsets.tolist() == [0, 148 * 80, 2 * 148 * 80]
    for offset, count in zip(offsets, frames, strict=True):
        assert np.allclose(flat[offset : offset + count * 80].reshape(count, 80).mean(axis=0), 0, atol=1e-3)


def test_features_are_where_the_sound_is(senko_engine):
    """Two tones after each other: each is strong in its own mel band and weak in the other's."""
    audio = np.concatenate([_tone(300, 1.0), _tone(3000, 1.0)])
    flat, frames, _, bins = senko_engine._extract_fbank_features(audio, [(0.0, 2.0)])
    features = flat.reshape(frames[0], bins)
    mels = 1127 * np.log(1 + np.array([20, 300, 3000, 8000]) / 700)
    low, high = (round((mel - mels[0]) / (mels[3] - mels[0]) * (bins + 1)) - 1 for mel in mels[1:3])
    first, second = features[10:90].mean(axis=0), features[110:190].mean(axis=0)
    assert first[low] - second[low] > 5
    assert second[high] - first[high] > 5


def test_features_do_not_depend_on_loudness_or_on_where_the_buffer_begins(senko_engine):
    audio = np.random.default_rng(2).normal(0, 0.1, 3 * SAMPLE_RATE).astype(np.float32)
    whole = senko_engine._extract_fbank_features(audio, [(1.0, 2.5)])[0]
    quiet = senko_engine._extract_fbank_features(audio * 0.25, [(1.0, 2.5)])[0]
    later = senko_engine._extract_fbank_features(audio[SAMPLE_RATE:], [(1.0, 2.5)], sample_offset=SAMPLE_RATE)[0]
    assert np.allclose(whole, quiet, atol=1e-3)
    assert np.array_equal(whole, later)


def test_features_equal_those_of_senko_s_own_library(senko_engine, conversation):
    if "avx512f" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("senko's feature library needs AVX-512, which this processor does not have")
    import senko

    audio, _ = soundfile.read(conversation / "sample.wav", dtype="float32")
    pieces = [(7.0, 8.5), (10.0, 11.5)]
    theirs = senko.Diarizer._extract_fbank_features(senko_engine, audio, pieces)
    ours = senko_engine._extract_fbank_features(audio, pieces)
    assert np.array_equal(theirs[1], ours[1])
    assert np.abs(theirs[0] - ours[0]).mean() < 0.01
