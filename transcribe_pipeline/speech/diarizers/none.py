"""Diarization switched off."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from transcribe_pipeline.artifacts import Diarization
from transcribe_pipeline.speech.diarizer import SpeakerCount


@dataclass(frozen=True)
class NoDiarizer:
    """The transcript has no speaker labels."""

    engine: str = "none"
    model: str = "none"

    def diarize(
        self,
        audio: Path,
        audio_seconds: float,
        count: SpeakerCount = SpeakerCount(),  # noqa: B008  # frozen
        on_progress: Callable[[float], None] = lambda fraction: None,
    ) -> Diarization:
        return Diarization(engine=self.engine, model=self.model, turns=(), exclusive_turns=())
