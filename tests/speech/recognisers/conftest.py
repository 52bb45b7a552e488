"""Recordings as samples. The models are those of `tests/speech/conftest.py`."""

from pathlib import Path

import pytest
import soundfile
from faster_whisper import decode_audio

from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech.recogniser import Samples

JFK = [
    *("and", "so", "my", "fellow", "americans", "ask", "not", "what", "your", "country", "can", "do", "for", "you"),
    *("ask", "what", "you", "can", "do", "for", "your", "country"),
]
"""11 s; 'Americans' spans 1.8 s."""
PRINTERS = ("Sweynheim", "Pannartz", "Subiaco")
"""Names that Whisper base mishears in `printing`."""


@pytest.fixture(scope="session")
def jfk(testdata: Path) -> Samples:
    samples: Samples = decode_audio(str(testdata / "en_jfk/jfk.flac"))
    return samples


@pytest.fixture(scope="session")
def printing(testdata: Path) -> Samples:
    """8 s: 'In fourteen sixty-five Sweynheim and Pannartz began printing in the monastery of Subiaco near Rome,'"""
    recording = testdata / "syn_en_lj_long/syn_en_lj_long.flac"
    samples: Samples
    samples, _ = soundfile.read(
        recording, dtype="float32", start=int(220.9 * SAMPLE_RATE), stop=int(229.3 * SAMPLE_RATE)
    )
    return samples
