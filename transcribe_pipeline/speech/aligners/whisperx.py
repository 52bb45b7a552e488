"""Word times by wav2vec2, with whisperx's models and its choice of one for each of 40 languages.

whisperx loads the model. Placing the words is done here rather than by `whisperx.align`, which downloads NLTK's
sentence splitter, hears one segment at a time, walks its trellis frame by frame in Python, and takes the hyphen of
'ill-disposed' for the blank of torchaudio's alphabets. From it comes the wildcard: a character that the model cannot
spell (a digit, a symbol) may sound like anything that is not silence.
"""

import contextlib
import importlib.util
import io
import logging
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech import models  # noqa: F401  # keeps whisperx from logging to stdout
from transcribe_pipeline.speech.aligner import Utterance
from transcribe_pipeline.speech.recogniser import Samples
from transcribe_pipeline.speech.spans import Span
from transcribe_pipeline.text.words import is_unspaced

Frames = tuple[int, int]
"""First frame and the one after the last."""

_log = logging.getLogger(__name__)

_SHORTEST_SAMPLES = 400
"""wav2vec2's first frame needs as many."""
_WILDCARD = -1
_SPOKEN_PUNCTUATION = "%&@#"
_BATCH_ON_GPU = 8


@dataclass(frozen=True)
class Alphabet:
    """What an alignment model can spell."""

    labels: Mapping[str, int]
    """Lower-case character -> column of the emissions."""
    separator: str | None
    """The label between words; None where the language has none."""

    @property
    def blank(self) -> int:
        return self.labels.get("[pad]", self.labels.get("<pad>", 0))

    def spell(self, word: str) -> list[int]:
        """Columns of the characters that are said; `_WILDCARD` for those that the model does not know."""
        return [column for character in word.lower() for column in self._columns(character)]

    def _columns(self, character: str) -> Iterator[int]:
        plain = unicodedata.normalize("NFKD", character)[0]
        column = self.labels.get(character, self.labels.get(plain))
        if column is not None and character != self.separator and column != self.blank:
            yield column
        elif character.isalnum() or character in _SPOKEN_PUNCTUATION or unicodedata.category(character)[0] == "S":
            yield _WILDCARD


@dataclass(frozen=True)
class WhisperXAligner:
    """A wav2vec2 model with a CTC head, as `whisperx.load_align_model` gives it."""

    model: Any
    kind: str
    """'torchaudio' or 'huggingface': how it is called."""
    alphabet: Alphabet
    device: str
    name: str

    def align(self, samples: Samples, utterances: Sequence[Utterance]) -> list[list[Span | None]]:
        placed: list[list[Span | None]] = [[None] * len(utterance.words) for utterance in utterances]
        for batch in _batches(utterances, 1 if self.device == "cpu" else _BATCH_ON_GPU):
            try:
                emissions = self._emissions(samples, [utterances[n] for n in batch])
            except RuntimeError:  # torch's, out of memory among them: these words keep their times
                _log.warning("whisperx could not hear %d utterances", len(batch), exc_info=True)
                continue
            for position, emission in zip(batch, emissions, strict=True):
                utterance = utterances[position]
                frame_seconds = (utterance.end - utterance.start) / max(len(emission), 1)
                placed[position] = [
                    (utterance.start + frames[0] * frame_seconds, utterance.start + frames[1] * frame_seconds)
                    if frames
                    else None
                    for frames in place_words(emission, utterance.words, self.alphabet)
                ]
        return placed

    def _emissions(self, samples: Samples, utterances: Sequence[Utterance]) -> list[NDArray[np.float32]]:
        """Log-probabilities (frames, labels) for each utterance.

        All are heard at the length of the longest, filled up with what really follows in the recording: zeros would
        change the statistics that wav2vec2 normalises by.
        """
        import torch

        starts = [max(round(u.start * SAMPLE_RATE), 0) for u in utterances]
        lengths = [round(u.end * SAMPLE_RATE) - start for u, start in zip(utterances, starts, strict=True)]
        longest = max(*lengths, _SHORTEST_SAMPLES)
        clips = np.zeros((len(utterances), longest), dtype=np.float32)
        for clip, start in zip(clips, starts, strict=True):
            heard = samples[start : start + longest]
            clip[: heard.size] = heard
        with torch.inference_mode():
            output = self.model(torch.from_numpy(clips).to(self.device))
            logits = output[0] if self.kind == "torchaudio" else output.logits
            emissions = torch.log_softmax(logits.float(), dim=-1).cpu().numpy()
        return [
            emission[: round(len(emission) * length / longest)]
            for emission, length in zip(emissions, lengths, strict=True)
        ]


def _batches(utterances: Sequence[Utterance], size: int) -> Iterator[list[int]]:
    """Positions of utterances of similar length."""
    by_length = sorted(range(len(utterances)), key=lambda n: utterances[n].end - utterances[n].start)
    for first in range(0, len(by_length), size):
        yield by_length[first : first + size]


def place_words(emission: NDArray[np.float32], words: Sequence[str], alphabet: Alphabet) -> list[Frames | None]:
    """The frames of each word on the likeliest path; None for words that are not said, all None if there is no path.

    `emission` holds log-probabilities, (frames, labels). Text of which the model could spell less than half (another
    script, say) is not placed at all.
    """
    tokens, owners = list[int](), list[int]()
    separator = alphabet.labels.get(alphabet.separator or "")
    for position, word in enumerate(words):
        spelled = alphabet.spell(word)
        if spelled and tokens and separator is not None:
            tokens.append(separator)
            owners.append(-1)
        tokens += spelled
        owners += [position] * len(spelled)
    spans: list[Frames | None] = [None] * len(words)
    if tokens.count(_WILDCARD) > len(tokens) / 2:
        return spans
    for owner, frames in zip(owners, best_path(emission, tokens, alphabet.blank), strict=False):
        if owner >= 0:
            known = spans[owner]
            spans[owner] = (known[0], frames[1]) if known else frames
    return spans


def best_path(emission: NDArray[np.float32], tokens: Sequence[int], blank: int) -> list[Frames]:
    """Where each token lies on the likeliest path of connectionist temporal classification; [] if there is none.

    Viterbi over the tokens with an optional blank around each (Graves et al. 2006, section 4.1): a blank may be left
    out unless it parts two equal tokens.
    """
    if not tokens or not len(emission):
        return []
    anything = np.delete(emission, blank, axis=1).max(axis=1, keepdims=True)
    emission = np.concatenate([emission, anything], axis=1)  # so that column -1 is the wildcard's
    states = np.full(2 * len(tokens) + 1, blank)
    states[1::2] = tokens
    may_skip = np.zeros(len(states), dtype=bool)
    may_skip[3::2] = (states[3::2] != states[1:-2:2]) | (states[3::2] == _WILDCARD)

    unreachable = np.float32(-np.inf)
    score = np.full(len(states), unreachable)
    score[:2] = emission[0, states[:2]]
    steps = np.zeros((len(emission), len(states)), dtype=np.int8)
    for frame in range(1, len(emission)):
        one = np.concatenate([[unreachable], score[:-1]])
        two = np.where(may_skip, np.concatenate([[unreachable, unreachable], score[:-2]]), unreachable)
        choices = np.stack([score, one, two])
        steps[frame] = choices.argmax(axis=0)
        score = choices.max(axis=0) + emission[frame, states]
    state = len(states) - 1 - int(score[-2] > score[-1])
    if not np.isfinite(score[state]):
        return []

    first, last = np.zeros(len(tokens), dtype=int), np.full(len(tokens), -1)
    for frame in range(len(emission) - 1, -1, -1):
        if state % 2:
            first[state // 2] = frame
            last[state // 2] = max(last[state // 2], frame)
        state -= int(steps[frame, state])
    return [(int(a), int(b) + 1) for a, b in zip(first, last, strict=True)]


# --- where the models are -------------------------------------------------------------------------------------------


def is_installed() -> bool:
    return importlib.util.find_spec("whisperx") is not None


def local_model(language: str, model: str) -> str | None:
    """The name of the model to align `language` with, if its weights are on this machine; None otherwise.

    `model` is a folder, or a name of Hugging Face or torchaudio; empty for whisperx's own choice for the language.
    """
    if model and Path(model).is_dir():
        return model
    if not is_installed() or not _anything_is_cached():  # importing whisperx takes ten seconds
        return None
    name = model or default_model(language)
    return name if name and _is_cached(name) else None


def default_model(language: str) -> str | None:
    """whisperx's choice for a language (ISO 639-1)."""
    from whisperx.alignment import DEFAULT_ALIGN_MODELS_HF, DEFAULT_ALIGN_MODELS_TORCH

    name: str | None = DEFAULT_ALIGN_MODELS_TORCH.get(language) or DEFAULT_ALIGN_MODELS_HF.get(language)
    return name


def _torch_checkpoints() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return Path(os.environ.get("TORCH_HOME", cache / "torch")).expanduser() / "hub" / "checkpoints"


def _anything_is_cached() -> bool:
    """Is there any wav2vec2 in the caches of torch and Hugging Face?"""
    from huggingface_hub.constants import HF_HUB_CACHE

    names = (entry.name for folder in (_torch_checkpoints(), Path(HF_HUB_CACHE)) for entry in folder.glob("*"))
    return any("wav2vec2" in name.lower() for name in names)


def _is_cached(name: str) -> bool:
    import torchaudio
    from huggingface_hub import try_to_load_from_cache

    if name in torchaudio.pipelines.__all__:
        file: str = getattr(torchaudio.pipelines, name)._path
        return (_torch_checkpoints() / file).is_file()
    return isinstance(try_to_load_from_cache(name, "config.json"), str)


@lru_cache(maxsize=1)
def load(language: str, model: str, device: str, *, local_only: bool) -> WhisperXAligner:
    """The aligner for a language. Raises ENGINE_MISSING, or MODEL_UNAVAILABLE where weights cannot be had.

    Unless `local_only`, weights that are not on this machine are downloaded (400 MB and more).
    """
    try:
        from whisperx.alignment import load_align_model
    except ImportError as error:
        raise PipelineError(ErrorCode.ENGINE_MISSING, "aligner whisperx") from error
    label = Path(model).name if model else f"for language '{language}'"
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what goes wrong
            loaded, metadata = load_align_model(language, device, model or None, model_cache_only=local_only)
    except (OSError, ValueError, RuntimeError) as error:
        raise PipelineError(ErrorCode.MODEL_UNAVAILABLE, f"alignment model {label}: {type(error).__name__}") from error
    labels: dict[str, int] = metadata["dictionary"]
    separator = "|" if "|" in labels and not is_unspaced(language) else None
    name = Path(model).name if model else default_model(language)
    return WhisperXAligner(loaded.eval(), metadata["type"], Alphabet(labels, separator), device, f"whisperx/{name}")
