"""Speakers by a pyannote.audio pipeline: community-1, 3.1 or a local folder. Overlap kept.

What belongs here: feeding it in bounded memory, making its batches fit the device, and sparing it the work that it does
three times. What does not: loading (`models.load_pyannote`).
"""

import importlib.metadata
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from transcribe_pipeline.artifacts import Diarization, SpeakerTurn
from transcribe_pipeline.media.samples import SAMPLE_RATE, read_window
from transcribe_pipeline.speech.diarizer import SpeakerCount
from transcribe_pipeline.speech.diarizers.clustering import centroid, group_voices, unit
from transcribe_pipeline.speech.diarizers.turns import ordered_turns, typed_failures, voices_of

if TYPE_CHECKING:
    import torch
    from pyannote.audio import Pipeline

_STACKING_TESTED_WITH = "4.0.7"

_WINDOW_SECONDS = 1200.0
"""Longer recordings go through the pipeline in windows of this length: 10 hours at once took it beyond 12 GB
(pyannote-audio#1819, whisperX#951), 20 minutes stay below 1 GB."""
_SAME_VOICE = 0.5
"""Cosine similarity (WeSpeaker ResNet34) from which speakers of two windows are one."""


@dataclass(frozen=True)
class Pyannote:
    pipeline: "Pipeline"
    model: str
    engine: str = "pyannote"
    window_seconds: float = _WINDOW_SECONDS

    def diarize(
        self,
        audio: Path,
        audio_seconds: float,
        count: SpeakerCount = SpeakerCount(),  # noqa: B008  # frozen
        on_progress: Callable[[float], None] = lambda fraction: None,
    ) -> Diarization:
        """Raises OUT_OF_MEMORY."""
        windows = max(round(audio_seconds / self.window_seconds), 1)
        with typed_failures():
            parts = []
            for number in range(windows):
                start = audio_seconds * number / windows
                samples = read_window(audio, start, audio_seconds / windows)
                # How many speak in the whole recording says only that no window has more.
                limits = _limits(count if windows == 1 else SpeakerCount(at_most=count.exactly or count.at_most))
                parts.append(_part(_run(self.pipeline, samples, limits), start))
                on_progress((number + 1) / windows)
        speakers, voices = _stitch(parts, count if windows > 1 else None)
        turns = _joined((start, end, speakers[n, name]) for n, p in enumerate(parts) for start, end, name in p.turns)
        exclusive = _joined(
            (start, end, speakers[n, name]) for n, p in enumerate(parts) for start, end, name in p.exclusive_turns
        )
        return Diarization(
            engine=self.engine,
            model=self.model,
            turns=turns,
            exclusive_turns=exclusive,
            voices=voices_of(turns, voices),
            embedding_model=f"pyannote/{self.model}" if voices else None,
        )


_Turn = tuple[float, float, str]


@dataclass(frozen=True)
class _Part:
    """One window's answer, in seconds of the recording; labels are the window's own."""

    turns: list[_Turn]
    exclusive_turns: list[_Turn]
    voices: dict[str, NDArray[np.float32]]


def _limits(count: SpeakerCount) -> dict[str, int]:
    known = {"num_speakers": count.exactly, "min_speakers": count.at_least, "max_speakers": count.at_most}
    if count.exactly:
        known = {"num_speakers": count.exactly}
    return {name: number for name, number in known.items() if number}


def _run(pipeline: Any, samples: NDArray[np.float32], limits: dict[str, int]) -> Any:
    import torch

    # A waveform, never a path: pyannote would decode the file again for every chunk (pyannote-audio#1955).
    file = {"waveform": torch.from_numpy(samples).unsqueeze(0), "sample_rate": SAMPLE_RATE}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchcodec, and std() of one frame: neither concerns us
        return pipeline(file, **limits)


def _part(found: Any, start: float) -> _Part:
    # Pipelines before 4.0, and those with `legacy: true`, return the annotation itself.
    annotation = getattr(found, "speaker_diarization", found)
    exclusive = getattr(found, "exclusive_speaker_diarization", annotation)
    embeddings = getattr(found, "speaker_embeddings", None)
    named = {} if embeddings is None else dict(zip(annotation.labels(), embeddings, strict=False))
    voices = {name: unit(voice.astype(np.float32)) for name, voice in named.items() if np.isfinite(voice).all()}
    return _Part(
        list(_turns(annotation, start)),
        list(_turns(exclusive, start)),
        {name: voice for name, voice in voices.items() if voice.any()},
    )


def _turns(annotation: Any, start: float) -> Iterator[_Turn]:
    for segment, _, label in annotation.itertracks(yield_label=True):
        yield start + segment.start, start + segment.end, label


def _stitch(
    parts: list[_Part], count: SpeakerCount | None
) -> tuple[dict[tuple[int, str], str], dict[str, NDArray[np.float32]]]:
    """The recording's name for each (window, label), and the voice of each name. None: one window keeps its labels."""
    if count is None:
        (part,) = parts
        return {(0, name): name for _, _, name in part.turns + part.exclusive_turns}, part.voices
    heard = [(n, name, voice) for n, part in enumerate(parts) for name, voice in part.voices.items()]
    names: dict[tuple[int, str], str] = {}
    voices: dict[str, NDArray[np.float32]] = {}
    if heard:
        embeddings = np.stack([voice for _, _, voice in heard])
        seconds = np.array([sum(e - s for s, e, name in parts[n].turns if name == own) for n, own, _ in heard])
        seconds = seconds.clip(min=1.0)  # the pipeline itself decided that they are speakers
        windows = np.array([n for n, _, _ in heard])
        labels = group_voices(embeddings, seconds, windows, count, same_voice=_SAME_VOICE)
        names = {(n, own): f"SPEAKER_{label:02d}" for (n, own, _), label in zip(heard, labels, strict=True)}
        voices = {
            f"SPEAKER_{label:02d}": centroid(embeddings[labels == label], seconds[labels == label])
            for label in range(labels.max() + 1)
        }
    for n, part in enumerate(parts):
        for _, _, own in part.turns + part.exclusive_turns:
            names.setdefault((n, own), f"WINDOW_{n}_{own}")  # too little speech for a voice: nobody else's
    return names, voices


def _joined(turns: Iterator[_Turn]) -> tuple[SpeakerTurn, ...]:
    """Turns that were cut where one window ends and the next begins are one again."""
    joined: list[SpeakerTurn] = []
    last: dict[str, int] = {}
    for turn in ordered_turns(turns):
        before = last.get(turn.speaker)
        if before is not None and turn.start <= joined[before].end:
            end = max(joined[before].end, turn.end)
            joined[before] = joined[before].model_copy(update={"end": end})
        else:
            last[turn.speaker] = len(joined)
            joined.append(turn)
    return tuple(joined)


# --- speed ----------------------------------------------------------------------------------------------------------


def fit_to_device(pipeline: "Pipeline", device: "torch.device") -> bool:
    """Batch sizes for the device and, where it is proven to change nothing, one embedding pass instead of three.

    Returns whether embedding passes were stacked. pyannote's own batch of 32 is the worst on a CPU: a chunk's embedding
    took 2.16 s with 30, 1.26 s with 1, and 0.39 s stacked. On a GPU time is flat from 16 on; results do not depend on
    the batch in float32, while float16 costs a third more errors (OpenTranscribe docs/diarization-vram-profile).
    """
    on_cpu = device.type == "cpu"
    chunks = 1 if on_cpu else 16
    if hasattr(pipeline, "segmentation_batch_size"):
        pipeline.segmentation_batch_size = 4 if on_cpu else 32
    if not hasattr(pipeline, "embedding_batch_size"):
        return False
    speakers = stack_embeddings(pipeline)
    pipeline.embedding_batch_size = chunks * (speakers or 1)
    return speakers is not None


def stack_embeddings(pipeline: Any) -> int | None:
    """Let the network see each 10 s chunk once, not once for each of its local speakers.

    pyannote embeds every (chunk, local speaker) on its own, although the speaker enters only at the last pooling
    (pyannote-audio#2050). WeSpeaker's pooling takes `(batch, speakers, frames)`, so that one pass serves all speakers
    of a chunk, with the same values. Returns the number of local speakers, of which a batch must be a multiple; None
    where this is not the pipeline that it was tested with, which then stays as it is.
    """
    from pyannote.audio.models.embedding.wespeaker import BaseWeSpeakerResNet
    from pyannote.audio.pipelines.speaker_diarization import SpeakerDiarization
    from pyannote.audio.pipelines.speaker_verification import PyannoteAudioPretrainedSpeakerEmbedding

    if importlib.metadata.version("pyannote.audio") != _STACKING_TESTED_WITH:
        return None
    if type(pipeline) is not SpeakerDiarization:
        return None
    stock = getattr(pipeline, "_embedding", None)
    if type(stock) is not PyannoteAudioPretrainedSpeakerEmbedding or not isinstance(stock.model_, BaseWeSpeakerResNet):
        return None
    segmentation: Any = pipeline._segmentation.model
    speakers = len(segmentation.specifications.classes)

    class Stacked(PyannoteAudioPretrainedSpeakerEmbedding):
        def __call__(self, waveforms: "torch.Tensor", masks: "torch.Tensor | None" = None) -> NDArray[np.float32]:
            if masks is None or len(waveforms) % speakers:
                return self._stock(waveforms, masks)
            by_chunk = waveforms.reshape(-1, speakers, *waveforms.shape[1:])
            if not (by_chunk == by_chunk[:, :1]).all():
                return self._stock(waveforms, masks)
            return self._stock(by_chunk[:, 0], masks.reshape(-1, speakers, masks.shape[-1])).reshape(len(waveforms), -1)

        def _stock(self, waveforms: "torch.Tensor", masks: "torch.Tensor | None") -> NDArray[np.float32]:
            found: NDArray[np.float32] = super().__call__(waveforms, masks)
            return found

    pipeline._embedding = Stacked(stock.model_, device=stock.device)
    return speakers
