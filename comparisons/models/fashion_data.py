"""Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747): the whole data, and a small sample.

The whole data are read only for training, from the files of Debian's package; a sample of the
test images and the mean training image are committed and are enough to run everything else.
Pixels are in 0–1, black is 0.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from comparisons.packages import MissingPackageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CLASSES", "SAMPLE", "mean_image", "sample", "select", "whole", "write_sample"]

SAMPLE = Path(__file__).parent / "weights" / "fashion_mnist_sample.npz"
FOLDER = "/usr/share/datasets/fashion-mnist"
PER_CLASS = 10
CLASSES = (
    *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
MISSING = (
    "Training on Fashion-MNIST needs the Debian package dataset-fashion-mnist, and {folder} "
    "holds no {file}. Get it with:\n"
    "  apt-get download dataset-fashion-mnist\n"
    "  dpkg-deb -x dataset-fashion-mnist_*.deb fashion\n"
    "and set FASHION_MNIST=fashion{default}. Everything but training runs without it."
)


def whole(split: str) -> tuple[Tensor, Tensor]:
    """All images of a split, (images, 1, 28, 28), and their labels, (images,).

    Args:
        split: "train" (60,000 images) or "t10k" (the 10,000 test images).

    Raises:
        MissingPackageError: the files are neither in the folder that the environment variable
            FASHION_MNIST names nor where Debian's package puts them.
    """
    images = _read(f"{split}-images-idx3-ubyte.gz", header=16).reshape(-1, 1, 28, 28)
    labels = _read(f"{split}-labels-idx1-ubyte.gz", header=8)
    return torch.from_numpy(images).float() / 255, torch.from_numpy(labels).long()


def _read(name: str, header: int) -> np.ndarray:
    """The bytes of an IDX file after its header of magic number and sizes."""
    folder = Path(os.environ.get("FASHION_MNIST") or FOLDER)
    if not (folder / name).is_file():
        raise MissingPackageError(
            MISSING.format(folder=folder, file=name, default=FOLDER),
            name="dataset-fashion-mnist",
        )
    with gzip.open(folder / name) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header).copy()


def select(labels: Tensor) -> Tensor:
    """Rows of the sample: the first ten of each class in test order, class after class."""
    return torch.cat([(labels == kind).nonzero()[:PER_CLASS, 0] for kind in range(10)])


def write_sample() -> None:
    """Write the sample and the mean training image from the whole data, as 8-bit pixels."""
    images, labels = whole("t10k")
    rows = select(labels)
    np.savez_compressed(
        SAMPLE,
        images=_bytes(images[rows]),
        labels=labels[rows].numpy().astype(np.uint8),
        rows=rows.numpy().astype(np.uint16),
        mean=_bytes(whole("train")[0].mean(0, keepdim=True)),
    )


def _bytes(images: Tensor) -> np.ndarray:
    return (images[:, 0] * 255).round().byte().numpy()


def sample() -> tuple[Tensor, Tensor]:
    """The committed test images, (100, 1, 28, 28), and their labels, (100,).

    Neighbours are of different classes, so that the first ten show every class.
    """
    with np.load(SAMPLE) as file:
        images, labels = _floats(file["images"]), torch.from_numpy(file["labels"]).long()
    order = torch.arange(len(labels)).reshape(10, PER_CLASS).T.flatten()
    return images[order], labels[order]


def mean_image() -> Tensor:
    """(1, 1, 28, 28): the mean of the training images."""
    with np.load(SAMPLE) as file:
        return _floats(file["mean"])


def _floats(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images)[:, None].float() / 255
