"""NVIDIA's Parakeet, and models like it, in ONNX format by `onnx-asr`: several times faster than Whisper on CPU.

A model of this kind writes what it hears in the language it was trained for (Parakeet v3 tells 25 European ones apart
by itself, and does not say which it heard, so somebody else is asked). It cannot translate, and takes neither
vocabulary nor prompt.
"""

import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from transcribe_pipeline.artifacts import RecognisedSegment, RecognisedWord
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech import models
from transcribe_pipeline.speech.recogniser import Heard, Request, Samples
from transcribe_pipeline.speech.spans import Span

if TYPE_CHECKING:
    from onnx_asr.adapters import TimestampedResultsAsrAdapter
    from onnx_asr.asr import TimestampedResult

_REMEDY = "pip install 'transcribe-pipeline[parakeet]', or choose another recogniser"

_ONLY_LANGUAGE = {
    "nemo-parakeet-ctc-0.6b": "en",
    "nemo-parakeet-rnnt-0.6b": "en",
    "nemo-parakeet-tdt-0.6b-v2": "en",
    "nemo-fastconformer-ru-ctc": "ru",
    "nemo-fastconformer-ru-rnnt": "ru",
}
"""Models of one language; others do not tell which they heard."""
TellLanguage = Callable[[Sequence[Samples]], list[dict[str, float]]]
"""As `Recogniser.detect_language`."""
_GROUP_SECONDS = 30.0
"""onnx-asr: most models take 20 to 30 s at a time."""
_BATCH = {"cpu": 1, "cuda": 8}
"""On CPU one clip keeps all cores busy, and in a batch the short ones are padded to the longest."""
_INT8_BYTES, _FLOAT32_BYTES = 1_500_000_000, 4_000_000_000
"""An estimate for 0.6 billion weights and 30 s of audio; not measured."""
_TOKEN_SECONDS = 0.24
"""How long a word may last after its last token begins: three frames. The model tells where tokens begin, not end."""


@dataclass(frozen=True)
class Parakeet:
    recogniser: "TimestampedResultsAsrAdapter"
    model: str
    batch_size: int
    tell_language: TellLanguage = lambda clips: []
    """Asked where the model does not tell."""
    engine: str = "parakeet"
    group_seconds: float = _GROUP_SECONDS
    translates: bool = False

    def detect_language(self, clips: Sequence[Samples]) -> list[dict[str, float]]:
        only = _ONLY_LANGUAGE.get(self.model)
        return [{only: 1.0} for _ in clips] if only else self.tell_language(clips)

    def recognise(self, samples: Samples, groups: Sequence[Span], request: Request) -> Iterator[Heard]:
        """Raises BAD_OPTIONS for what the model cannot do, rather than leaving it out silently."""
        _require_able(request)
        for first in range(0, len(groups), self.batch_size):
            batch = groups[first : first + self.batch_size]
            clips = [samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] for start, end in batch]
            for group, heard in zip(batch, self.recogniser.recognize(list(clips)), strict=True):
                segment = _segment(heard, group)
                yield group, [segment] if segment else []

    def reconsider(self, samples: Samples, stretch: Span, request: Request) -> None:
        """Decoding is greedy: there are no other settings."""


def _require_able(request: Request) -> None:
    asked = {"translate": request.to_english, "take a vocabulary": request.vocabulary, "take a prompt": request.prompt}
    if lacking := [what for what, is_asked in asked.items() if is_asked]:
        raise PipelineError(ErrorCode.BAD_OPTIONS, f"parakeet cannot {' or '.join(lacking)}")


def _segment(heard: "TimestampedResult", group: Span) -> RecognisedSegment | None:
    """One segment for the group, with times from the start of the samples."""
    words = [
        RecognisedWord(text=text, start=round(start, 3), end=round(end, 3), probability=min(math.exp(logprob), 1.0))
        for text, start, end, logprob in _words(heard, group)
    ]
    if not words:
        return None
    logprobs = heard.logprobs or []
    return RecognisedSegment(
        start=words[0].start,
        end=words[-1].end,
        text=heard.text.strip(),
        words=tuple(words),
        avg_logprob=sum(logprobs) / len(logprobs) if logprobs else None,
    )


def _words(heard: "TimestampedResult", group: Span) -> Iterator[tuple[str, float, float, float]]:
    """(text, start, end, mean log probability) of each word: its tokens up to the next that begins with a space."""
    tokens, times = heard.tokens or [], heard.timestamps or []
    logprobs = heard.logprobs or [0.0] * len(tokens)
    firsts = [n for n, token in enumerate(tokens) if n == 0 or token.startswith(" ")]
    for first, following in pairwise([*firsts, len(tokens)]):
        text = "".join(tokens[first:following]).strip()
        if not text:
            continue
        start = min(group[0] + times[first], group[1])
        limit = group[0] + times[following] if following < len(tokens) else group[1]
        end = max(start, min(group[0] + times[following - 1] + _TOKEN_SECONDS, limit, group[1]))
        yield text, start, end, sum(logprobs[first:following]) / (following - first)


def load(
    model: str, device: str, compute_type: str, threads: int, tell_language: TellLanguage = lambda clips: []
) -> Parakeet:
    """A model by onnx-asr's name (from the hub's cache, else downloaded) or a local folder with its config.json.

    :param device: 'cpu' or 'cuda' (which needs onnxruntime-gpu).
    :param compute_type: 'int8' takes the quantized weights where the model has them, and so does 'default' on CPU.
    :raises PipelineError: ENGINE_MISSING, MODEL_UNAVAILABLE.
    """
    if not importlib.util.find_spec("onnx_asr"):
        raise PipelineError(ErrorCode.ENGINE_MISSING, f"onnx-asr; {_REMEDY}")
    if compute_type == "default":
        compute_type = "int8" if device == "cpu" else "float32"
    quantization = "int8" if compute_type.startswith("int8") else None

    def load_model() -> "TimestampedResultsAsrAdapter":
        try:
            return _load(model, device, threads, quantization)
        except Exception as error:  # hub, network, JSON and ONNX errors of several libraries mean the same to people
            raise PipelineError(
                ErrorCode.MODEL_UNAVAILABLE,
                f"'{Path(model).name}': {type(error).__name__}; name a model of onnx-asr or a folder with config.json",
            ) from error

    needed = _INT8_BYTES if quantization else _FLOAT32_BYTES
    loaded = models.shelf.get(("parakeet", model, device, quantization, threads), needed, load_model, device=device)
    return Parakeet(loaded, model, _BATCH[device], tell_language)


def _load(model: str, device: str, threads: int, quantization: str | None) -> "TimestampedResultsAsrAdapter":
    import onnxruntime
    from onnx_asr.loader import Manager

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
    manager = Manager(options, providers=[provider])
    # A folder's config.json says what kind of model it is; without a name nothing is fetched.
    name, folder = (None, model) if Path(model).is_dir() else (model, None)
    try:
        loaded = manager.create_asr(name, folder, quantization=quantization)
    except FileNotFoundError:
        if quantization is None:
            raise
        loaded = manager.create_asr(name, folder)  # not every model was quantized
    return loaded.with_timestamps()


def is_at_hand(model: str) -> bool:
    """Is the model a local folder, or in the hub's cache? The package must be installed."""
    if Path(model).is_dir():
        return (Path(model) / "config.json").is_file()
    from huggingface_hub import try_to_load_from_cache
    from onnx_asr.resolver import model_repos

    return isinstance(try_to_load_from_cache(model_repos.get(model, model), "config.json"), str)
