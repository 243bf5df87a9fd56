"""``Network``: a trained model with examples, and where both come from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

__all__ = ["Network", "hash_of"]


@dataclass(frozen=True)
class Network:
    """A trained model and the examples it is explained on.

    Attributes:
        name: its name in tables.
        model: in evaluation mode, float32.
        inputs: (examples, channels, height, width), preprocessed.
        images: the same examples as a person sees them, (examples, height, width[, 3]) in 0–1.
        labels: what each example shows.
        description: architecture, weights and data in one line.
        weights_hash: sha256 of the weights.
    """

    name: str
    model: nn.Module
    inputs: Tensor
    images: np.ndarray
    labels: list[str]
    description: str
    weights_hash: str


def hash_of(state: dict[str, torch.Tensor]) -> str:
    """sha256 over names and bytes of a state dict."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
