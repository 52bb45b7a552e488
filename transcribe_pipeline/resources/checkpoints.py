"""Finished windows of an unfinished transcription, kept in the artifact store for whichever run goes on with it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pydantic import BaseModel

from transcribe_pipeline.artifacts import Audio, Options, RecognisedWindow
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.resources.artifact_store import ArtifactStore, Model

_STAGE = "transcription"
_RELEVANT = {
    "recogniser",
    "model",
    "compute_type",
    "beam_size",
    "language",
    "translate",
    "vocabulary",
    "prompt",
    "channels_are_speakers",
}
"""Options that shape what is recognised: windows made with others are not taken up."""


class _Footing(BaseModel):
    rung: int
    """Of the ladder of `speech.hardware`: what an earlier attempt had to step down to."""


@dataclass
class WindowCheckpoints:
    """See `speech.recognise.Checkpoints`."""

    artifacts: ArtifactStore
    partition_key: str
    content: str
    audio: Audio
    options: Options
    before_write: Callable[[], None]
    """Raises if the run may no longer write."""
    channel: str = "mix"
    resumed_windows: int = field(default=0, init=False)
    """Windows taken over from an earlier attempt."""

    def __post_init__(self) -> None:
        asked = f"{self.audio.sha256} {self.channel} {self.options.model_dump_json(include=_RELEVANT)}"
        self._folder = hashlib.sha256(asked.encode()).hexdigest()[:16]

    def of_channel(self, label: str) -> "WindowCheckpoints":
        return replace(self, channel=label)

    def load(self, start: float) -> RecognisedWindow | None:
        window = self._load(f"{self._folder}/{_name(start)}", RecognisedWindow)
        self.resumed_windows += window is not None
        return window

    def save(self, window: RecognisedWindow) -> None:
        self._save(f"{self._folder}/{_name(window.start)}", window)

    @property
    def rung(self) -> int:
        """Where on the ladder an earlier attempt ended; 0 if there was none."""
        footing = self._load("footing", _Footing)
        return footing.rung if footing else 0

    def remember_rung(self, rung: int) -> None:
        self._save("footing", _Footing(rung=rung))

    def _load(self, name: str, model: type[Model]) -> Model | None:
        return self.artifacts.load_partial(self.partition_key, self.content, _STAGE, name, model)

    def _save(self, name: str, value: BaseModel) -> None:
        self.before_write()
        self.artifacts.save_partial(self.partition_key, self.content, _STAGE, name, value)


def _name(start: float) -> str:
    return f"{round(start * SAMPLE_RATE):010d}"
