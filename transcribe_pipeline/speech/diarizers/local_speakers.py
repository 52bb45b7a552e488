"""What single windows of a recording hear: where somebody speaks, and up to three local speakers with their voices.

What belongs here: everything up to the voices. What does not: who is who across windows (`senko.py`).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transcribe_pipeline.media.samples import SAMPLE_RATE, read_window
from transcribe_pipeline.speech.diarizers.clustering import centroid, two_halves
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

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Frames = NDArray[np.int64]
"""Numbers of frames within a window."""

_STEP_SECONDS = 4.0
"""From window to window. Twice as many windows cost twice the time and change DER by -0.01 to +0.01."""
_SECTION_WINDOWS = 32
"""Windows whose audio and features (2 minutes) are in memory together."""

_PEAK = 0.1
"""Quieter sections are raised to this. Networks and features do not depend on level, but energies have a floor: 14 dB
less made meetings that peak at -20 dB worse (DER 0.245 instead of 0.227)."""
_LARGEST_GAIN = 100.0

_ALONE_SECONDS = 0.5
"""With less speech of their own, a local speaker's voice is taken from overlapping speech too."""
_VOICE_SECONDS = 0.2
"""Less has no voice."""

_PAUSE_SECONDS = 0.25
_PIECE_SECONDS = 2.0
_SHORTEST_PIECE_SECONDS = 0.6
_LENGTH_STEP = 50
"""Features: voices of few different lengths can be computed in batches."""
_TWO_VOICES = 0.45
"""Where the halves of a local speaker are less alike (cosine), the segmentation took two people for one. Single voices
are more alike even in short pieces; 0.45 found both voices in two of three meetings where it had happened."""
_PERSON_SECONDS = 1.0
"""What each half must have for that."""

# The frame of the segmentation that is nearest to each frame of the filter banks, within a window.
_FEATURE_TIMES = np.arange(round(WINDOW_SECONDS * FEATURES_PER_SECOND)) / FEATURES_PER_SECOND + FEATURE_CENTRE_SECONDS
_FRAME_OF_FEATURE = (
    ((_FEATURE_TIMES - FRAME_CENTRE_SECONDS) / FRAME_SECONDS).round().clip(0, WINDOW_FRAMES - 1).astype(int)
)


@dataclass
class LocalSpeaker:
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
    """Of the recording, once they are named."""


@dataclass
class Heard:
    """The recording as its windows heard it; a few bytes a frame."""

    frames: int
    speech: Floats
    overlap: Floats
    """Probability that somebody speaks, and that two do, in each frame: mean over the windows."""
    local_speakers: list[LocalSpeaker] = field(default_factory=list)
    """Ordered by window."""


@dataclass(frozen=True)
class _Stretch:
    """One output of the segmentation in one window, to be given a voice."""

    window: int
    activity: Floats
    pieces: list[Frames]
    features: list[Floats]
    """Filter banks of each piece."""
    is_alone: bool
    shares: Floats
    """Part of each frame that counts for this window."""


def listen(networks: SenkoNetworks, audio: Path, audio_seconds: float, on_progress: Callable[[float], None]) -> Heard:
    """Hear the whole recording, section by section; `on_progress` gets the fraction of the audio done."""
    windows = max(math.ceil((audio_seconds - WINDOW_SECONDS) / _STEP_SECONDS), 0) + 1
    frames = math.ceil(audio_seconds / FRAME_SECONDS)
    heard = Heard(frames, np.zeros(frames, np.float32), np.zeros(frames, np.float32))
    shares = _shares(windows, frames)
    for first in range(0, windows, _SECTION_WINDOWS):
        section = range(first, min(first + _SECTION_WINDOWS, windows))
        samples = _section(audio, section)
        features = filter_banks(samples)
        stretches: list[_Stretch] = []
        for window, classes in zip(section, networks.classes(_cut(samples, len(section))), strict=True):
            share = shares[place(window, frames)]
            heard.speech[place(window, frames)] += share * (1 - classes[: len(share), 0])
            heard.overlap[place(window, frames)] += share * classes[: len(share), 4:].sum(axis=1)
            start = round((window - first) * _STEP_SECONDS * FEATURES_PER_SECOND)
            own_features = features[start : start + len(_FRAME_OF_FEATURE)]
            stretches += _stretches(window, classes, own_features, np.pad(share, (0, WINDOW_FRAMES - len(share))))
        heard.local_speakers += _with_voices(networks, stretches)
        on_progress(section.stop / windows)
    return heard


def place(window: int, frames: int) -> slice:
    """Where the frames of a window are among those of a recording of so many frames."""
    start = round(window * _STEP_SECONDS / FRAME_SECONDS)
    return slice(min(start, frames), min(start + WINDOW_FRAMES, frames))


def _shares(windows: int, frames: int) -> Floats:
    """For each frame of the recording, one divided by the number of windows that it lies in."""
    counted = np.zeros(frames, np.float32)
    for window in range(windows):
        counted[place(window, frames)] += 1
    shares: Floats = np.reciprocal(counted.clip(min=1))
    return shares


def _section(audio: Path, windows: range) -> Floats:
    """The samples of consecutive windows, not too quiet; silence after the end of the recording."""
    seconds = (len(windows) - 1) * _STEP_SECONDS + WINDOW_SECONDS
    samples = read_window(audio, windows.start * _STEP_SECONDS, seconds)
    peak = float(np.abs(samples).max(initial=0.0))
    gain = np.float32(min(max(_PEAK / max(peak, 1e-9), 1.0), _LARGEST_GAIN))
    return np.pad(samples * gain, (0, round(seconds * SAMPLE_RATE) - len(samples)))


def _cut(samples: Floats, windows: int) -> Floats:
    """The section's windows, shape (windows, samples)."""
    size, step = round(WINDOW_SECONDS * SAMPLE_RATE), round(_STEP_SECONDS * SAMPLE_RATE)
    return np.lib.stride_tricks.sliding_window_view(samples, size)[::step][:windows]


def _stretches(window: int, classes: Floats, features: Floats, shares: Floats) -> Iterator[_Stretch]:
    chosen = SPEAKERS_OF_CLASS[classes.argmax(axis=1)] > 0
    activities = classes @ SPEAKERS_OF_CLASS
    for active, activity in zip(chosen.T, activities.T, strict=True):
        if active.sum() * FRAME_SECONDS < _VOICE_SECONDS:
            continue
        alone = active & (chosen.sum(axis=1) == 1)
        is_alone = bool(alone.sum() * FRAME_SECONDS >= _ALONE_SECONDS)
        spoken = alone if is_alone else active
        pieces = _pieces(spoken)
        yield _Stretch(window, activity, pieces, _features_of(pieces, spoken, features), is_alone, shares)


def _with_voices(networks: SenkoNetworks, stretches: list[_Stretch]) -> Iterator[LocalSpeaker]:
    voices = networks.voices([features for stretch in stretches for features in stretch.features])
    position = 0
    for stretch in stretches:
        own = voices[position : position + len(stretch.pieces)]
        position += len(stretch.pieces)
        seconds = np.array([len(piece) * FRAME_SECONDS for piece in stretch.pieces])
        shares = np.array([stretch.shares[piece].sum() * FRAME_SECONDS for piece in stretch.pieces])
        for part in _one_person_each(own, seconds) if stretch.is_alone else [np.ones(len(own), bool)]:
            yield LocalSpeaker(
                stretch.window,
                (stretch.activity * _around(stretch.pieces, part)).astype(np.float16),
                centroid(own[part], seconds[part]),
                float(seconds[part].sum()) if stretch.is_alone else 0.0,
                float(shares[part].sum()),
            )


def _features_of(pieces: list[Frames], spoken: Flags, features: Floats) -> list[Floats]:
    """The filter banks of each piece, its length rounded to half a second with what the same person says around it."""
    frame_of_feature = _FRAME_OF_FEATURE[: len(features)]
    is_spoken = spoken[frame_of_feature]
    features, frame_of_feature = features[is_spoken], frame_of_feature[is_spoken]
    found = []
    for piece in pieces:
        own = np.flatnonzero(np.isin(frame_of_feature, piece))
        size = min(max(round(len(own) / _LENGTH_STEP), 1), max(len(features) // _LENGTH_STEP, 1)) * _LENGTH_STEP
        start = min(max(int(own.mean()) - size // 2, 0), max(len(features) - size, 0))
        found.append(np.resize(features[start : start + size], (size, features.shape[1])))
    return found


def _one_person_each(voices: Floats, seconds: NDArray[np.floating]) -> list[Flags]:
    """The pieces of a local speaker, as one set or, where they are clearly two voices, as two."""
    if len(voices) > 1:
        second = two_halves(voices, seconds)
        halves = [~second, second]
        one, other = (centroid(voices[half], seconds[half]) for half in halves)
        if one @ other < _TWO_VOICES and all(seconds[half].sum() >= _PERSON_SECONDS for half in halves):
            return halves
    return [np.ones(len(voices), bool)]


def _around(pieces: list[Frames], part: Flags) -> Flags:
    """The frames of a window that belong to some of its pieces, or are nearer to those than to the others."""
    if part.all():
        return np.ones(WINDOW_FRAMES, bool)
    centres = np.array([piece.mean() for piece in pieces])
    nearest = np.abs(np.arange(WINDOW_FRAMES)[:, None] - centres).argmin(axis=1)
    for number, piece in enumerate(pieces):
        nearest[piece] = number
    flags: Flags = part[nearest]
    return flags


def _pieces(active: Flags) -> list[Frames]:
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
