"""Models that hear tones, in the shape of NeMo's CTC and TDT exports: what onnx-asr loads and runs is real.

Parakeet's weights come from a model hub only. These need none: a tone of 500 Hz is the token '▁hel', 1500 Hz 'lo' and
4000 Hz '▁world', in frames of 80 ms.
"""

import json
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch.onnx._internal import onnx_proto_utils

from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech.recogniser import Samples

TONES = {500: "\u2581hel", 1500: "lo", 4000: "\u2581world"}
_MEL_BINS = (12, 36, 62)
"""Of NeMo's 80, where those tones are; normalised, a tone is about 3 there and silence -0.3."""
_DURATIONS = 5
"""A TDT model tells how many frames to go on, 0 to 4; these always go on by one."""


def tune(*notes: tuple[int, float]) -> Samples:
    """Notes of (frequency in Hz, seconds); 0 Hz is a pause."""
    return np.concatenate(
        [
            0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
            for hertz, seconds in notes
        ]
    ).astype(np.float32)


class _Encoder(torch.nn.Module):
    """Features (batch, 80, frames of 10 ms) -> logits of the tokens and the blank (batch, frames of 80 ms, 4)."""

    def forward(self, audio_signal: torch.Tensor) -> torch.Tensor:
        tones = torch.nn.functional.avg_pool1d(audio_signal[:, _MEL_BINS, :], 8, ceil_mode=True)
        blank = torch.ones_like(tones[:, :1])
        return 3 * torch.cat([tones, blank], dim=1).transpose(1, 2)


class _Ctc(_Encoder):
    def forward(self, audio_signal: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        return super().forward(audio_signal).log_softmax(-1) + 0 * length[:, None, None]


class _TdtEncoder(_Encoder):
    def forward(self, audio_signal: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return super().forward(audio_signal).transpose(1, 2), (length - 1) // 8 + 1


class _TdtDecoder(torch.nn.Module):
    """What it heard, but never the same token again."""

    def forward(
        self,
        encoder_outputs: torch.Tensor,
        targets: torch.Tensor,
        target_length: torch.Tensor,
        input_states_1: torch.Tensor,
        input_states_2: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        again = torch.nn.functional.pad(torch.nn.functional.one_hot(targets[0].long(), 4)[:, :3], (0, 1))
        duration = torch.nn.functional.one_hot(torch.ones_like(targets[0]).long(), _DURATIONS).float()
        outputs = torch.cat([encoder_outputs[0].T - 100 * again, duration], dim=1)[None, None]
        return outputs + 0 * target_length, input_states_1 + 1, input_states_2 + 1


def save_ctc(folder: Path) -> Path:
    _save_vocabulary(folder, "nemo-conformer-ctc")
    features, length = torch.randn(2, 80, 40), torch.tensor([40, 40])
    _export(_Ctc(), (features, length), folder / "model.onnx", ["audio_signal", "length"], ["logprobs"])
    return folder


def save_tdt(folder: Path) -> Path:
    _save_vocabulary(folder, "nemo-conformer-tdt")
    features, length = torch.randn(2, 80, 40), torch.tensor([40, 40])
    outputs = ["outputs", "encoded_lengths"]
    _export(_TdtEncoder(), (features, length), folder / "encoder-model.onnx", ["audio_signal", "length"], outputs)
    state = torch.zeros(1, 1, 2)
    _export(
        _TdtDecoder(),
        (
            torch.randn(1, 4, 1),
            torch.tensor([[3]], dtype=torch.int32),
            torch.tensor([1], dtype=torch.int32),
            state,
            state,
        ),
        folder / "decoder_joint-model.onnx",
        ["encoder_outputs", "targets", "target_length", "input_states_1", "input_states_2"],
        ["outputs", "output_states_1", "output_states_2"],
    )
    return folder


def _save_vocabulary(folder: Path, kind: str) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": kind, "features_size": 80, "subsampling_factor": 8}))
    tokens = [*TONES.values(), "<blk>"]
    (folder / "vocab.txt").write_text("".join(f"{token} {n}\n" for n, token in enumerate(tokens)))


def _export(model: torch.nn.Module, inputs: tuple, file: Path, names: list[str], outputs: list[str]) -> None:
    is_encoder = names[0] == "audio_signal"
    axes = {"audio_signal": {0: "batch", 2: "frames"}, "length": {0: "batch"}} if is_encoder else {}
    # TorchScript's exporter writes the file itself, but imports the package `onnx` to look for functions to add to it.
    # There are none, and the package is not among ours.
    with (
        mock.patch.object(onnx_proto_utils, "_add_onnxscript_fn", lambda model, _: model),
        warnings.catch_warnings(action="ignore"),
    ):
        torch.onnx.export(
            model.eval(), inputs, str(file), dynamo=False, input_names=names, output_names=outputs, dynamic_axes=axes
        )
