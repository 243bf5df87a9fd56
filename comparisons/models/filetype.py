"""Magika v3.3 in torch.nn: what type a file is, from its first and last 1,024 bytes.

Fratantonio et al. 2024, arXiv 2409.13768. Each byte is one of 256 categories, and a 257th
stands for padding; the network's first layer is linear in the one-hot code of each. Rebuilt
from the ONNX file of magika 1.0.3 (Apache-2.0).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comparisons.packages import folder_of, require

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FileType", "file_type", "labels", "one_hot", "weights_file"]

END = 1024  # bytes taken from either end
BLOCK = 4096  # bytes read at either end, before blanks are stripped
PADDING = 256


class FileType(nn.Module):
    """One-hot bytes (batch, 2048, 257) → logits (batch, 214)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(257, 64)
        self.norm = nn.LayerNorm(512, eps=1e-6)
        self.mix = nn.Conv1d(256, 512, 5)
        self.final_norm = nn.LayerNorm(512, eps=1e-6)
        self.head = nn.Linear(512, 214)

    def forward(self, codes: Tensor) -> Tensor:
        embedded = F.gelu(self.embed(codes), approximate="tanh")
        fours = embedded.reshape(-1, 512, 256).transpose(1, 2)  # four bytes beside each other
        mixed = F.gelu(self.mix(self.norm(fours)), approximate="tanh")
        logits: Tensor = self.head(self.final_norm(mixed.amax(-1)))
        return logits


# Parameter → the end of its name in the ONNX file, and whether it is stored transposed.
_NAMES = {
    "embed.weight": ("get_logits_/Const:0", True),
    "embed.bias": ("Dense_0/Reshape:0", False),
    "norm.weight": ("LayerNorm_0/Reshape_2:0", False),
    "norm.bias": ("LayerNorm_0/Reshape_3:0", False),
    "mix.weight": ("Conv_0/transpose_3:0", False),
    "mix.bias": ("const_fold_opt__209", False),
    "final_norm.weight": ("LayerNorm_1/Reshape_2:0", False),
    "final_norm.bias": ("LayerNorm_1/Reshape_3:0", False),
    "head.weight": ("get_logits_/Const_24:0", True),
    "head.bias": ("Dense_1/Reshape:0", False),
}


def file_type() -> FileType:
    """The trained network."""
    require("onnx", purpose="Magika's file of weights", install="onnx")
    import onnx

    graph = onnx.load(weights_file()).graph
    arrays = {
        array.name: torch.tensor(onnx.numpy_helper.to_array(array))
        for array in graph.initializer
    }
    model = FileType()
    state = {
        name: _found(arrays, *_NAMES[name]).reshape(parameter.shape)
        for name, parameter in model.named_parameters()
    }
    model.load_state_dict(state)
    return model.eval()


def _found(arrays: dict[str, Tensor], ending: str, transposed: bool) -> Tensor:
    (array,) = (array for name, array in arrays.items() if name.endswith(ending))
    return array.T if transposed else array


def labels() -> list[str]:
    """The 214 types, in the order of the outputs."""
    config: dict[str, Any] = json.loads((_folder() / "config.min.json").read_text())
    return list(config["target_labels_space"])


def weights_file() -> Path:
    """The published ONNX file."""
    return _folder() / "model.onnx"


def _folder() -> Path:
    folder = folder_of(
        "magika", purpose="The file-type network", install="--no-deps magika==1.0.3"
    )
    return folder / "models" / "standard_v3_3"


def one_hot(content: bytes) -> Tensor:
    """(1, 2048, 257): the bytes at the beginning, then those at the end, blanks stripped."""
    first, last = content[:BLOCK].lstrip()[:END], content[-BLOCK:].rstrip()[-END:]
    numbers = [*first, *[PADDING] * (END - len(first)), *[PADDING] * (END - len(last)), *last]
    return F.one_hot(torch.tensor([numbers]), 257).float()
