"""Speech to words: one small interface, faster-whisper behind it.

Long recordings are read in windows that end in a pause, so memory stays bounded and progress is real. Inside a
window, voice activity detection decides what is listened to at all (the only dependable guard against invented
words), stretches of speech are grouped into the 30 s that Whisper always pays for, and groups are decoded in batches.
Batched decoding has no temperature fallback; a group that fails Whisper's own quality test is decoded again with it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from transcribe_pipeline.artifacts import RecognisedSegment, RecognisedWord, Transcription
from transcribe_pipeline.media.samples import SAMPLE_RATE, read_window
from transcribe_pipeline.speech.spans import Span, covered_seconds, group_spans
from transcribe_pipeline.text.words import joins

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

Progress = Callable[[float], None]
"""Called with the fraction done, 0..1."""

UNDETERMINED = "und"

_WINDOW_SECONDS = 600.0
_GROUP_SECONDS = 30.0
# Whisper base int8, beam 5, 147 s of 7-speaker speech on 2 cores: 26.3 s in batches of 4, 18.7 s of 8, 19.1 s of 16,
# with the same words. (Beam 1: 11.1 s; as good in English and German here, but 3 % more word errors in Spanish.)
_BATCH = 8
# Thresholds of Whisper's own fallback (openai/whisper transcribe.py).
_TEMPERATURES = (0.0, 0.4, 0.8)
"""Every other one of Whisper's six: music makes it try them all (46 s for a clip of 74 s; these take 20 s)."""
_COMPRESSION_RATIO_LIMIT = 2.4
_LOGPROB_FLOOR = -1.0
_NO_SPEECH_LIMIT = 0.6
_UNHEARD_SECONDS = 2.0
"""Speech in a group that the decoded words do not reach: Whisper sometimes stops in the middle of its 30 s."""


class Recogniser(Protocol):
    """A speech recogniser: 16 kHz mono FLAC in, words with times and probabilities out."""

    @property
    def engine(self) -> str: ...
    @property
    def model(self) -> str: ...

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
            for segment in self._recognise(samples, spans, groups, language):
                on_progress((offset + segment.end) / audio_seconds)
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
        self, samples: NDArray[np.float32], spans: list[Span], groups: list[Span], language: str | None
    ) -> Iterator[Any]:
        """faster-whisper's segments, in order, with times in the window."""
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
        starts = [int(start * self.whisper.frames_per_second) for start, _ in groups]
        for seek, segments in groupby(decoded, key=lambda segment: segment.seek):
            group, heard = groups[starts.index(seek)], list(segments)
            spoken = [span for span in spans if group[0] <= span[0] < group[1]]
            reached = _reached(heard, group, spoken)
            if reached > group[0]:
                yield from heard
            if reached < group[1]:
                yield from self._recognise_carefully(samples, (reached, group[1]), language)

    def _recognise_carefully(self, samples: NDArray[np.float32], stretch: Span, language: str | None) -> Iterator[Any]:
        """A stretch again, sequentially: with time tokens (so it reaches the end) and temperature fallback."""
        segments, _ = self.whisper.transcribe(
            _cut(samples, stretch),
            language=language,
            beam_size=self.beam_size,
            temperature=_TEMPERATURES,
            word_timestamps=True,
            condition_on_previous_text=False,
        )
        for segment in segments:
            if not _is_noise(segment):
                yield _moved(segment, stretch[0])


def _reached(segments: list[Any], group: Span, spoken: list[Span]) -> float:
    """How far into the group the decoded segments can be trusted: its end, where they stopped early, or its start."""
    words = [word for segment in segments for word in segment.words or ()]
    if not words or any(_is_doubtful(segment) for segment in segments):
        return group[0]
    first, last = words[0].start, words[-1].end
    if covered_seconds(spoken, [(group[0], first)]) > _UNHEARD_SECONDS:
        return group[0]
    return last if covered_seconds(spoken, [(last, group[1])]) > _UNHEARD_SECONDS else group[1]


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
    words = [replace(w, start=w.start + seconds, end=w.end + seconds) for w in segment.words or ()]
    return replace(segment, start=segment.start + seconds, end=segment.end + seconds, words=words)


def _shifted(segment: Any, offset: float, audio_seconds: float) -> RecognisedSegment | None:
    """faster-whisper's segment as ours: times from the media's zero, inside the audio, empty words dropped."""

    def clamp(seconds: float) -> float:
        return round(min(max(seconds + offset, 0.0), audio_seconds), 3)

    words = tuple(
        RecognisedWord(
            text=text,
            start=clamp(start),
            end=clamp(max(start, end)),
            probability=min(max(probability, 0.0), 1.0),
        )
        for text, start, end, probability in _whole_words(segment.words or ())
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


def _whole_words(pieces: Iterable[Any]) -> Iterator[tuple[str, float, float, float]]:
    """(text, start, end, probability) per written word.

    Whisper cuts at hyphens and inside foreign words too (' ill', '-disposed'); a piece without a leading space goes on
    with the word before it, unless it is a character of a script that has no spaces.
    """
    text, start, end, probabilities = "", 0.0, 0.0, list[float]()
    for piece in pieces:
        follows = text and not piece.word.startswith(" ") and joins(text, piece.word)
        if text and not follows:
            yield text, start, end, sum(probabilities) / len(probabilities)
        if not follows:
            text, start, probabilities = "", piece.start, []
        text = (text + piece.word).strip()
        end = piece.end
        probabilities.append(float(piece.probability))
    if text:
        yield text, start, end, sum(probabilities) / len(probabilities)


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
        if not is_last and spans and spans[-1][0] > 0 and spans[-1][1] > end - 1.0:
            end = spans.pop()[0]
        yield offset, samples, spans
        if is_last:
            return
        offset += end


def _cut(samples: NDArray[np.float32], span: Span) -> NDArray[np.float32]:
    return samples[int(span[0] * SAMPLE_RATE) : int(span[1] * SAMPLE_RATE)]
