"""Speech to words: one small interface, faster-whisper behind it.

Long recordings are read in windows that end in a pause, so memory stays bounded and progress is real. Inside a
window, voice activity detection decides what is listened to at all (the only dependable guard against invented
words), stretches of speech are grouped into the 30 s that Whisper always pays for, and groups are decoded in batches.
Batched decoding has no temperature fallback; a group that fails Whisper's own quality test is decoded once more with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from transcribe_pipeline.artifacts import RecognisedSegment, RecognisedWord, Transcription
from transcribe_pipeline.media.samples import SAMPLE_RATE, read_window

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

Progress = Callable[[float], None]
"""Called with the fraction done, 0..1."""

Span = tuple[float, float]
"""Start and end in seconds."""

UNDETERMINED = "und"

_WINDOW_SECONDS = 600.0
_GROUP_SECONDS = 30.0
# Whisper base int8, 147 s of 7-speaker speech, 2 cores: sequential 25-32 s of wall time, batches of 4 17.5 s (beam 5)
# with the same word error rate (1.6 %) and times; larger batches only cost memory.
_BATCH = 4
# Thresholds of Whisper's own fallback (openai/whisper transcribe.py).
_COMPRESSION_RATIO_LIMIT = 2.4
_LOGPROB_FLOOR = -1.0
_NO_SPEECH_LIMIT = 0.6


class Recogniser(Protocol):
    """A speech recogniser: 16 kHz mono FLAC in, words with times and probabilities out."""

    engine: str
    model: str

    def transcribe(self, audio: Path, audio_seconds: float, on_progress: Progress) -> Transcription: ...


@dataclass(frozen=True)
class FasterWhisper:
    """Whisper through CTranslate2, with word times from cross-attention."""

    whisper: "WhisperModel"
    model: str
    beam_size: int
    language: str | None = None
    """ISO 639-1, or None to detect."""
    engine: str = "faster-whisper"

    def transcribe(self, audio: Path, audio_seconds: float, on_progress: Progress) -> Transcription:
        language, probability = self.language, 1.0
        segments: list[RecognisedSegment] = []
        speech: list[Span] = []
        for offset, samples, spans in speech_windows(audio, audio_seconds):
            speech += [(offset + start, offset + end) for start, end in spans]
            groups = group_spans(spans, _GROUP_SECONDS)
            if groups and language is None:
                language, probability = self._detect_language(samples, groups)
            for start, segment in self._recognise(samples, groups, language):
                on_progress((offset + start) / audio_seconds)
                if recognised := _shifted(segment, offset, audio_seconds):
                    segments.append(recognised)
        return Transcription(
            engine=self.engine,
            model=self.model,
            language=language or UNDETERMINED,
            language_probability=probability if language else 0.0,
            segments=tuple(segments),
            audio_seconds=audio_seconds,
            speech=tuple(speech),
        )

    def _detect_language(self, samples: NDArray[np.float32], groups: list[Span]) -> tuple[str, float]:
        """From the first groups of speech (silence and intros are already out), until one is sure."""
        heard = np.concatenate([_cut(samples, group) for group in groups[:4]])
        language, probability, _ = self.whisper.detect_language(
            heard, language_detection_segments=4, language_detection_threshold=0.5
        )
        return language, float(probability)

    def _recognise(
        self, samples: NDArray[np.float32], groups: list[Span], language: str | None
    ) -> Iterator[tuple[float, Any]]:
        """(start of the group in the window, faster-whisper segment with times in the window) for each utterance."""
        from faster_whisper import BatchedInferencePipeline

        if not groups:
            return
        decoded, _ = BatchedInferencePipeline(self.whisper).transcribe(
            samples,
            language=language,
            beam_size=self.beam_size,
            batch_size=_BATCH,
            word_timestamps=True,
            clip_timestamps=[{"start": start, "end": end} for start, end in groups],
        )
        for segment in decoded:
            if not _is_doubtful(segment):
                yield segment.start, segment
                continue
            group = next((g for g in groups if g[0] <= segment.start < g[1]), (segment.start, segment.end))
            retried, _ = self.whisper.transcribe(
                _cut(samples, group),
                language=language,
                beam_size=self.beam_size,
                word_timestamps=True,
                condition_on_previous_text=False,
            )
            for again in retried:
                if not _is_noise(again):
                    yield group[0], _moved(again, group[0])


def _is_doubtful(segment: Any) -> bool:
    return bool(
        segment.compression_ratio > _COMPRESSION_RATIO_LIMIT
        or segment.avg_logprob < _LOGPROB_FLOOR
        or segment.no_speech_prob > _NO_SPEECH_LIMIT
    )


def _is_noise(segment: Any) -> bool:
    """Whisper's rule for 'nobody spoke', plus loops that even the highest temperature did not break."""
    silent = segment.no_speech_prob > _NO_SPEECH_LIMIT and segment.avg_logprob < _LOGPROB_FLOOR
    return bool(silent or segment.compression_ratio > _COMPRESSION_RATIO_LIMIT)


def _moved(segment: Any, seconds: float) -> Any:
    from dataclasses import replace

    words = [replace(w, start=w.start + seconds, end=w.end + seconds) for w in segment.words or ()]
    return replace(segment, start=segment.start + seconds, end=segment.end + seconds, words=words)


def _shifted(segment: Any, offset: float, audio_seconds: float) -> RecognisedSegment | None:
    """faster-whisper's segment as ours: times from the media's zero, inside the audio, empty words dropped."""

    def clamp(seconds: float) -> float:
        return round(min(max(seconds + offset, 0.0), audio_seconds), 3)

    words = tuple(
        RecognisedWord(
            text=word.word.strip(),
            start=clamp(word.start),
            end=clamp(max(word.start, word.end)),
            probability=min(max(float(word.probability), 0.0), 1.0),
        )
        for word in segment.words or ()
        if word.word.strip()
    )
    if not words:
        return None
    return RecognisedSegment(
        start=words[0].start,
        end=words[-1].end,
        text=segment.text.strip(),
        words=words,
        avg_logprob=float(segment.avg_logprob),
        no_speech_prob=min(max(float(segment.no_speech_prob), 0.0), 1.0),
        compression_ratio=float(segment.compression_ratio),
    )


def speech_windows(audio: Path, audio_seconds: float) -> Iterator[tuple[float, NDArray[np.float32], list[Span]]]:
    """(offset in the media, samples, speech spans inside the window) for each window; windows end in a pause.

    Spans are at most 30 s long. A span that touches the end of a window is left for the next one.
    """
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(max_speech_duration_s=_GROUP_SECONDS, min_silence_duration_ms=160)
    offset = 0.0
    while offset < audio_seconds:
        samples = read_window(audio, offset, _WINDOW_SECONDS)
        if not samples.size:
            return
        end = samples.size / SAMPLE_RATE
        spans = [
            (span["start"] / SAMPLE_RATE, span["end"] / SAMPLE_RATE) for span in get_speech_timestamps(samples, options)
        ]
        is_last = offset + end >= audio_seconds - 1 / SAMPLE_RATE
        if not is_last and len(spans) > 1 and spans[-1][1] > end - 1.0:
            end = spans.pop()[0]
        yield offset, samples, spans
        if is_last:
            return
        offset += end


def group_spans(spans: list[Span], limit: float) -> list[Span]:
    """Neighbouring spans joined, pauses included, as long as a group stays within `limit` seconds."""
    groups: list[Span] = []
    for start, end in spans:
        if groups and end - groups[-1][0] <= limit:
            groups[-1] = (groups[-1][0], end)
        else:
            groups.append((start, end))
    return groups


def _cut(samples: NDArray[np.float32], span: Span) -> NDArray[np.float32]:
    return samples[int(span[0] * SAMPLE_RATE) : int(span[1] * SAMPLE_RATE)]
