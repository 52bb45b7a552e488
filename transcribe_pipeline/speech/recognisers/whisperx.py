"""Whisper as whisperx runs it: its own voice activity detection, its own batches, one text per chunk of speech.

whisperx leaves word times to an aligner, and drops a segment's words without one. Here each chunk's words get times
from Whisper's cross-attention, as in faster-whisper; forced alignment is a stage of its own (`aligners/whisperx.py`).
"""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transcribe_pipeline.artifacts import RecognisedSegment
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech import hardware, models
from transcribe_pipeline.speech.recogniser import Heard, Request, Samples
from transcribe_pipeline.speech.recognisers.faster_whisper import BATCH_SIZE, FasterWhisper, as_recognised, hotwords
from transcribe_pipeline.speech.spans import Span

if TYPE_CHECKING:
    from faster_whisper.tokenizer import Tokenizer
    from whisperx.asr import FasterWhisperPipeline

_REMEDY = "install the speech extra ('make setup'), or choose another recogniser"

_CHUNK_SECONDS = 30.0
_DETECTOR_BYTES = 1_000_000_000
"""torch and pyannote's segmentation of 10 minutes, in batches of 32 ten-second clips."""


@dataclass(frozen=True)
class WhisperX:
    """Decodes once at temperature 0, as whisperx does; `reconsider` asks the same model through faster-whisper."""

    pipeline: "FasterWhisperPipeline"
    model: str
    beam_size: int = 5
    batch_size: int = BATCH_SIZE
    engine: str = "whisperx"
    group_seconds: float = _CHUNK_SECONDS

    @property
    def translates(self) -> bool:
        return self._sequential.translates

    @property
    def _sequential(self) -> FasterWhisper:
        return FasterWhisper(self.pipeline.model, self.model, self.beam_size)

    def detect_language(self, clips: Sequence[Samples]) -> list[dict[str, float]]:
        return self._sequential.detect_language(clips)

    def recognise(self, samples: Samples, groups: Sequence[Span], request: Request) -> Iterator[Heard]:
        """Inside the groups whisperx's own detector has the last word: what comes back are its chunks, not the groups.

        A group in which it finds nobody is not listened to.
        """
        chunks = self._chunks(_only(samples, groups))
        for first in range(0, len(chunks), self.batch_size):
            batch = chunks[first : first + self.batch_size]
            yield from zip(batch, self._decode(samples, batch, request), strict=True)

    def reconsider(self, samples: Samples, stretch: Span, request: Request) -> list[RecognisedSegment]:
        return self._sequential.reconsider(samples, stretch, request)

    def _chunks(self, samples: Samples) -> list[Span]:
        """Speech by whisperx's detector, cut and merged to at most 30 s."""
        vad, thresholds = self.pipeline.vad_model, self.pipeline._vad_params
        scores = vad({"waveform": vad.preprocess_audio(samples), "sample_rate": SAMPLE_RATE})
        merged = vad.merge_chunks(
            scores, _CHUNK_SECONDS, onset=thresholds["vad_onset"], offset=thresholds["vad_offset"]
        )
        # Its cut may come a frame late; Whisper takes not one frame more than 30 s.
        return [(chunk["start"], min(chunk["end"], chunk["start"] + _CHUNK_SECONDS)) for chunk in merged]

    def _tokenizer(self, request: Request) -> "Tokenizer":
        from faster_whisper.tokenizer import Tokenizer

        whisper = self.pipeline.model
        return Tokenizer(
            whisper.hf_tokenizer,
            whisper.model.is_multilingual,
            task="translate" if request.to_english else "transcribe",
            language=request.language or "en",  # Whisper always tells one: None is from models that know English alone
        )

    def _decode(self, samples: Samples, chunks: Sequence[Span], request: Request) -> list[list[RecognisedSegment]]:
        import torch
        from faster_whisper.transcribe import Segment, Word, get_compression_ratio

        whisper, tokenizer = self.pipeline.model, self._tokenizer(request)
        features = torch.stack([self._features(samples, chunk) for chunk in chunks])
        options = replace(self.pipeline.options, beam_size=self.beam_size, hotwords=hotwords(whisper, request))
        heard = whisper.generate_segment_batched(features, tokenizer, options)
        # A translation's words were never said.
        words = None if request.to_english else _word_times(whisper, tokenizer, heard["text"], chunks)
        decoded = []
        for position, (start, end) in enumerate(chunks):
            text = heard["text"][position]
            segment = Segment(
                id=0,
                seek=0,
                start=start,
                end=end,
                text=text,
                tokens=[],
                avg_logprob=heard["avg_logprob"][position],
                compression_ratio=get_compression_ratio(text),
                no_speech_prob=0.0,
                words=words and [Word(**word) for word in words[position]],
                temperature=0.0,
            )
            recognised = as_recognised(segment)
            # whisperx does not ask Whisper how probable silence is.
            decoded.append([recognised.model_copy(update={"no_speech_prob": None})] if recognised else [])
        return decoded

    def _features(self, samples: Samples, chunk: Span) -> Any:
        heard = samples[int(chunk[0] * SAMPLE_RATE) : int(chunk[1] * SAMPLE_RATE)]
        return self.pipeline.preprocess({"inputs": heard})["inputs"]


def _only(samples: Samples, groups: Sequence[Span]) -> Samples:
    """The samples with silence outside the groups: what lies there belongs to others (the next window, say)."""
    heard = np.zeros_like(samples)
    for start, end in groups:
        inside = slice(int(start * SAMPLE_RATE), int(end * SAMPLE_RATE))
        heard[inside] = samples[inside]
    return heard


def _word_times(
    whisper: Any, tokenizer: "Tokenizer", texts: Sequence[str], chunks: Sequence[Span]
) -> list[list[dict[str, Any]]]:
    """faster-whisper's words of each text, read from the encoder's output of the batch that was just decoded."""
    segments: list[list[dict[str, Any]]] = [
        [
            {
                "tokens": tokenizer.encode(text),
                "start": start,
                "end": end,
                "seek": start * whisper.frames_per_second,
            }
        ]
        for text, (start, end) in zip(texts, chunks, strict=True)
    ]
    whisper.add_word_timestamps(
        segments,
        tokenizer,
        whisper.encoded,
        [int((end - start) * whisper.frames_per_second) for start, end in chunks],
        prepend_punctuations="\"'“¿([{-",
        append_punctuations="\"'.。,，!！?？:：”)]}、",  # noqa: RUF001
        last_speech_timestamp=0.0,
    )
    return [segment["words"] for (segment,) in segments]


def load(
    model: str,
    device: str,
    compute_type: str,
    threads: int,
    models_folder: Path,
    *,
    beam_size: int = 5,
    batch_size: int = BATCH_SIZE,
) -> WhisperX:
    """Whisper in CTranslate2 format with whisperx's pyannote detector, whose weights are in its wheel.

    :param device: 'cpu' or 'cuda'.
    :param compute_type: CTranslate2's; 'default' is int8 on CPU, where whisperx itself would take float32.
    :raises PipelineError: ENGINE_MISSING, MODEL_UNAVAILABLE, OUT_OF_MEMORY.
    """
    if not importlib.util.find_spec("whisperx"):
        raise PipelineError(ErrorCode.ENGINE_MISSING, f"whisperx; {_REMEDY}")
    if compute_type == "default":
        compute_type = hardware.default_compute_type(device)
    weights = models.whisper_bytes(model, models_folder)
    needed = _DETECTOR_BYTES + hardware.whisper_bytes_needed(device, compute_type, batch_size, weights)
    rung = hardware.Rung(device, compute_type, batch_size, needed)

    def load_pipeline() -> "FasterWhisperPipeline":
        try:
            return _pipeline(str(models.whisper_folder(model, models_folder) or model), rung, threads, models_folder)
        except (OSError, ValueError, RuntimeError) as error:
            code = ErrorCode.MODEL_UNAVAILABLE
            if hardware.is_out_of_memory(error, rung):
                code = ErrorCode.OUT_OF_MEMORY
            raise PipelineError(code, f"Whisper '{Path(model).name}': {type(error).__name__}") from error

    key = ("whisperx", model, device, compute_type, threads)
    return WhisperX(models.shelf.get(key, needed, load_pipeline, device=device), model, beam_size, batch_size)


def _pipeline(source: str, rung: hardware.Rung, threads: int, models_folder: Path) -> "FasterWhisperPipeline":
    from whisperx.asr import WhisperModel, load_model

    class Remembering(WhisperModel):  # type: ignore[misc]
        """Keeps the encoder's output of the last batch: whisperx discards it, and word times are read from it."""

        encoded: Any = None

        def encode(self, features: Any) -> Any:
            self.encoded = super().encode(features)
            return self.encoded

    hardware.set_torch_threads(threads)
    whisper = Remembering(
        source,
        device=rung.device,
        compute_type=rung.compute_type,
        cpu_threads=threads,
        download_root=str(models_folder),
    )
    return load_model(source, rung.device, compute_type=rung.compute_type, model=whisper)
