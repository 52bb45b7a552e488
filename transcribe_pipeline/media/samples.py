"""Reading the pipeline's own audio artifact (16 kHz mono FLAC) as float32, in bounded memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hz. What Whisper and the diarization models were trained on."""


def read_blocks(flac: Path, seconds: float) -> "Iterator[NDArray[np.float32]]":
    """The whole file as consecutive float32 blocks of shape (samples,), -1..1, each of `seconds` but the last."""
    import soundfile

    yield from soundfile.blocks(flac, blocksize=round(seconds * SAMPLE_RATE), dtype="float32")


def read_window(flac: Path, start_seconds: float, seconds: float) -> "NDArray[np.float32]":
    """float32 samples, -1..1, of shape (samples,), from `start_seconds` on; shorter (or empty) at the file's end."""
    import soundfile

    with soundfile.SoundFile(flac) as file:
        file.seek(min(round(start_seconds * SAMPLE_RATE), file.frames))
        samples: NDArray[np.float32] = file.read(round(seconds * SAMPLE_RATE), dtype="float32")
        return samples
