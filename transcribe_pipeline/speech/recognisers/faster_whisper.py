"""Whisper through CTranslate2 (faster-whisper): batched, with word times from cross-attention.

Also what other engines that end in faster-whisper's segments share: their conversion into ours.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from transcribe_pipeline.artifacts import RecognisedSegment, RecognisedWord
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech.recogniser import Heard, Request, Samples
from transcribe_pipeline.speech.spans import Span
from transcribe_pipeline.text.words import joins

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

# Whisper base int8, beam 5, 147 s of 7-speaker speech on 2 cores: 26.3 s in batches of 4, 18.7 s of 8, 19.1 s of 16,
# with the same words. (Beam 1: 11.1 s; as good in English and German here, but 3 % more word errors in Spanish.)
BATCH_SIZE = 8
# Two calls on a thread each do more than one call on two threads: 304 s of speech on 2 cores, in batches of 4, take
# 21.0 s instead of 28.4 s (37 s of CPU time instead of 47 s), with the same words.
_MOST_WORKERS = 4
# Every other one of Whisper's six: music makes it try them all (46 s for a clip of 74 s; these take 20 s).
_TEMPERATURES = (0.0, 0.4, 0.8)
GROUP_SECONDS = 30.0
"""What Whisper pays for whatever it gets."""
_CANNOT_TRANSLATE = ("turbo", "distil", ".en")
"""Whisper models that were trained without the task of translation have one of these in their names."""
_HINT_TOKENS = 100
"""Each of vocabulary and prompt. Whisper has 448 tokens for hints and text together; 30 s of fast speech need 200."""


def workers_for(device: str, threads: int, audio_seconds: float) -> int:
    """How many calls at a time pay. One for what is heard at once, which would have to do with fewer threads."""
    if device != "cpu" or audio_seconds <= GROUP_SECONDS:
        return 1
    return min(threads, _MOST_WORKERS)


@dataclass(frozen=True)
class FasterWhisper:
    """Batched decoding has no fallback of its own; `reconsider` decodes sequentially, with it."""

    whisper: "WhisperModel"
    model: str
    beam_size: int = 5
    batch_size: int = BATCH_SIZE
    """Groups decoded at the same time, over all workers."""
    workers: int = 1
    """As many as `whisper` was loaded with."""
    engine: str = "faster-whisper"
    group_seconds: float = GROUP_SECONDS

    @property
    def translates(self) -> bool:
        return not any(part in self.model for part in _CANNOT_TRANSLATE)

    def detect_language(self, clips: Sequence[Samples]) -> list[dict[str, float]]:
        if not self.whisper.model.is_multilingual:
            return [{"en": 1.0} for _ in clips]
        with ThreadPoolExecutor(self.workers) as pool:
            return [dict(found[2]) for found in pool.map(self.whisper.detect_language, clips)]

    def recognise(self, samples: Samples, groups: Sequence[Span], request: Request) -> Iterator[Heard]:
        share = min(max(self.batch_size // self.workers, 1), max(math.ceil(len(groups) / self.workers), 1))
        batches = deque(groups[first : first + share] for first in range(0, len(groups), share))
        running: deque[Future[list[Heard]]] = deque()
        pool = ThreadPoolExecutor(self.workers)
        try:
            while batches or running:
                # One batch waits, so that a worker never does while its results are looked at.
                while batches and len(running) <= self.workers:
                    running.append(pool.submit(self._decode, samples, batches.popleft(), request))
                yield from running.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _decode(self, samples: Samples, groups: Sequence[Span], request: Request) -> list[Heard]:
        """One batch."""
        from faster_whisper import BatchedInferencePipeline

        decoded, _ = BatchedInferencePipeline(self.whisper).transcribe(
            samples,
            **_arguments(self.whisper, request),
            beam_size=self.beam_size,
            batch_size=len(groups),
            word_timestamps=not request.to_english,  # a translation's words were never said
            clip_timestamps=[{"start": start, "end": end} for start, end in groups],
        )
        # Groups in which nothing was heard have no segment at all.
        heard = {
            seek: [each for s in segments if (each := as_recognised(s))]
            for seek, segments in groupby(decoded, key=lambda segment: segment.seek)
        }
        frames = self.whisper.frames_per_second
        return [(g, heard.get(int(int(g[0] * SAMPLE_RATE) / SAMPLE_RATE * frames), [])) for g in groups]

    def reconsider(self, samples: Samples, stretch: Span, request: Request) -> list[RecognisedSegment]:
        return decode_carefully(self.whisper, samples, stretch, request, beam_size=self.beam_size)


def decode_carefully(
    whisper: "WhisperModel", samples: Samples, stretch: Span, request: Request, *, beam_size: int
) -> list[RecognisedSegment]:
    """Sequentially: with time tokens (so that it reaches the end of its 30 s) and with temperature fallback."""
    segments, _ = whisper.transcribe(
        samples[int(stretch[0] * SAMPLE_RATE) : int(stretch[1] * SAMPLE_RATE)],
        **_arguments(whisper, request),
        beam_size=beam_size,
        temperature=_TEMPERATURES,
        word_timestamps=not request.to_english,
        condition_on_previous_text=False,
    )
    return [each for segment in segments if (each := as_recognised(segment, stretch[0]))]


def _arguments(whisper: "WhisperModel", request: Request) -> dict[str, Any]:
    return {
        "language": request.language,
        "task": "translate" if request.to_english else "transcribe",
        "hotwords": hotwords(whisper, request),
    }


def hotwords(whisper: "WhisperModel", request: Request) -> str | None:
    """Vocabulary and prompt, as Whisper takes both.

    Not the pipeline's `initial_prompt`: the sequential decoder would give that to its first 30 s only.
    """
    hints = [", ".join(request.vocabulary), request.prompt]
    return " ".join(_beginning(whisper, hint) for hint in hints if hint) or None


def _beginning(whisper: "WhisperModel", hint: str) -> str:
    tokens = whisper.hf_tokenizer.encode(hint, add_special_tokens=False).ids[:_HINT_TOKENS]
    return str(whisper.hf_tokenizer.decode(tokens)).strip()


def as_recognised(segment: Any, offset: float = 0.0) -> RecognisedSegment | None:
    """faster-whisper's segment as ours, `offset` seconds later; None if it has no word."""
    words = tuple(
        RecognisedWord(
            text=text,
            start=_time(start + offset),
            end=_time(max(start, end) + offset),
            probability=min(max(probability, 0.0), 1.0),
        )
        for text, start, end, probability in whole_words(segment.words or ())
    )
    text = segment.text.strip()
    if not text or (segment.words is not None and not words):
        return None
    return RecognisedSegment(
        start=words[0].start if words else _time(segment.start + offset),
        end=words[-1].end if words else _time(segment.end + offset),
        text=text,
        words=words,
        avg_logprob=float(segment.avg_logprob),
        no_speech_prob=min(max(float(segment.no_speech_prob), 0.0), 1.0),
        compression_ratio=float(segment.compression_ratio),
    )


def _time(seconds: float) -> float:
    return round(max(float(seconds), 0.0), 3)


def whole_words(pieces: Iterable[Any]) -> Iterator[tuple[str, float, float, float]]:
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
