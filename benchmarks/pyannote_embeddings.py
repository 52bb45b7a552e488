"""pyannote's embedding step, stock against stacked: the same numbers, and how many times faster.

    python -m benchmarks.pyannote_embeddings [SECONDS]

Runs on pyannote's own sample with the real segmentation network and a WeSpeaker ResNet34 of random weights (speed does
not depend on them, and no account is needed). Stock is measured with the batch of 32 of published pipelines and with 1,
its best on CPU. On one core: 2.6 and 5.6 times as long as stacked, embeddings equal to 1.5e-7.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.speech.diarizers.pyannote_folder import make_pyannote_folder


def main(seconds: float) -> None:
    import pyannote.audio
    import soundfile
    import torch

    from transcribe_pipeline.speech import hardware, models

    device = torch.device(hardware.resolve_device("auto", torch_engine=True))
    sample = Path(pyannote.audio.__file__).parent / "sample/sample.wav"
    samples, rate = soundfile.read(sample, dtype="float32", frames=round(seconds * 16_000))
    file = {"waveform": torch.from_numpy(samples)[None], "sample_rate": rate}
    with tempfile.TemporaryDirectory() as folder:
        community = make_pyannote_folder(Path(folder) / "community")
        stock = pyannote.audio.Pipeline.from_pretrained(str(community))
        stacked = models.load_pyannote(str(community), "", device.type)
    assert stock is not None
    stock.to(device)
    segmentations = stock.get_segmentations(file)

    def embed(pipeline: Any) -> tuple[float, NDArray[np.float32]]:
        started = time.perf_counter()
        embeddings: NDArray[np.float32] = pipeline.get_embeddings(file, segmentations, exclude_overlap=True)
        return time.perf_counter() - started, embeddings

    ours, found = embed(stacked)
    print(f"{len(samples) / rate:.0f} s of audio on {device.type}")
    print(f"stacked, batch {stacked.embedding_batch_size}: {ours:.1f} s")
    for batch in (1, 32):
        stock.embedding_batch_size = batch
        theirs, expected = embed(stock)
        difference = float(np.nanmax(np.abs(found - expected)))
        print(f"stock, batch {batch}: {theirs:.1f} s, {theirs / ours:.1f} times; largest difference {difference:.1e}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
