"""pyannote's own pipeline through our loading and our wrapper: real code, real segmentation, random voices."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.speech.diarizers.conftest import speakers
from tests.speech.diarizers.pyannote_folder import make_pyannote_folder
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.speech import models
from transcribe_pipeline.speech.diarizer import SpeakerCount
from transcribe_pipeline.speech.diarizers.pyannote import Pyannote, stack_embeddings


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return make_pyannote_folder(tmp_path_factory.mktemp("pyannote") / "community")


@pytest.fixture(scope="session")
def pipeline(folder):
    return models.load_pyannote(str(folder), "", "cpu")


@pytest.fixture(scope="session")
def part(conversation, tmp_path_factory) -> Path:
    """Twelve seconds of the telephone call, with both speakers and crosstalk."""
    import soundfile

    samples, rate = soundfile.read(conversation / "sample.wav", dtype="float32")
    path = tmp_path_factory.mktemp("part") / "part.flac"
    soundfile.write(path, samples[9 * rate : 21 * rate], rate)
    return path


def test_loading_fits_the_pipeline_to_the_device(pipeline):
    assert pipeline.segmentation_batch_size == 4
    assert pipeline.embedding_batch_size == 3


def test_stacked_embeddings_change_nothing(folder, pipeline, part):
    """The same answer as the stock pipeline, embedding by embedding."""
    import soundfile
    import torch
    from pyannote.audio import Pipeline

    samples, rate = soundfile.read(part, dtype="float32")
    file = {"waveform": torch.from_numpy(samples)[None], "sample_rate": rate}

    def run(loaded):
        seen = {}
        output = loaded(dict(file), num_speakers=2, hook=lambda name, value, **_: seen.__setitem__(name, value))
        return seen["embeddings"], output

    stock = Pipeline.from_pretrained(str(folder))
    stock.embedding_batch_size = 3
    theirs, expected = run(stock)
    ours, found = run(pipeline)
    assert theirs.shape[1:] == (3, 256)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.nanstd(theirs[0, :2], axis=0).max() > 1e-3  # speakers of one chunk differ, so the masks were used
    assert list(found.speaker_diarization.itertracks(yield_label=True)) == list(
        expected.speaker_diarization.itertracks(yield_label=True)
    )
    assert list(found.exclusive_speaker_diarization.itertracks(yield_label=True)) == list(
        expected.exclusive_speaker_diarization.itertracks(yield_label=True)
    )
    np.testing.assert_allclose(found.speaker_embeddings, expected.speaker_embeddings, atol=1e-5)


def test_another_version_stays_as_it_is(pipeline, monkeypatch):
    import importlib.metadata

    before = pipeline._embedding
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "4.0.8")
    assert stack_embeddings(pipeline) is None
    assert pipeline._embedding is before


def test_turns_overlap_and_voices(pipeline, part):
    heard = []
    found = Pyannote(pipeline, "local").diarize(part, 12.0, SpeakerCount(exactly=2), heard.append)
    assert len(speakers(found)) == 2
    assert {voice.speaker for voice in found.voices} == speakers(found)
    assert all(np.linalg.norm(voice.embedding) == pytest.approx(1, abs=1e-4) for voice in found.voices)
    assert found.embedding_model == "pyannote/local"
    assert all(left.end <= right.start for left, right in pairwise(found.exclusive_turns))
    assert sum(t.end - t.start for t in found.turns) > sum(t.end - t.start for t in found.exclusive_turns)
    assert heard == [1.0]


def test_windows_are_stitched(pipeline, part):
    """In two windows: the same speech as in one, and as many speakers as were asked for."""
    whole = Pyannote(pipeline, "local").diarize(part, 12.0, SpeakerCount(at_most=1))
    found = Pyannote(pipeline, "local", window_seconds=6.0).diarize(part, 12.0, SpeakerCount(at_most=1))
    assert len(speakers(found)) == 1
    assert {voice.speaker for voice in found.voices} == speakers(found)
    assert all(left.end < right.start for left, right in pairwise(found.turns))
    seconds = [sum(t.end - t.start for t in d.turns) for d in (whole, found)]
    assert seconds[1] == pytest.approx(seconds[0], abs=0.5)


def test_a_pipeline_that_is_not_there(tmp_path):
    (tmp_path / "config.yaml").write_text("pipeline: {name: nothing.Here}")
    with pytest.raises(PipelineError) as caught:
        models.load_pyannote(str(tmp_path), "", "cpu")
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE
