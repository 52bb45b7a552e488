"""What a diarization engine is, to the rest of the pipeline. Each engine is one module of `diarizers/`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from transcribe_pipeline.artifacts import Diarization


@dataclass(frozen=True)
class SpeakerCount:
    """What people know about how many speak. All None: nothing."""

    exactly: int | None = None
    at_least: int | None = None
    at_most: int | None = None


class Diarizer(Protocol):
    """16 kHz mono FLAC in, speaker turns out. Labels are the engine's own; `assign.py` renames them."""

    @property
    def engine(self) -> str: ...
    @property
    def model(self) -> str: ...

    def diarize(
        self, audio: Path, audio_seconds: float, count: SpeakerCount, on_progress: Callable[[float], None]
    ) -> Diarization: ...
