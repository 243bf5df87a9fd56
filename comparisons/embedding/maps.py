"""Maps of the same points, and how well each keeps neighbours: encoders, t-SNE, PCA."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from comparisons.embedding.preservation import label_accuracy, preservation
from comparisons.embedding.records import PreservationRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from comparisons.models.tsne_data import Points

__all__ = [
    "ALONE",
    "ENCODER",
    "LINEAR",
    "PIXELS",
    "TOGETHER",
    "of_encoder",
    "of_pca",
    "of_pixels",
    "of_tsne",
]

ENCODER, ALONE, LINEAR = "parametric t-SNE", "t-SNE (scikit-learn)", "PCA"
PIXELS = "no map: all pixels"
TOGETHER = "t-SNE (scikit-learn), held-out points embedded with the others"


def of_encoder(
    encoder: nn.Module, points: Points, seed: int, neighbours: int
) -> Iterator[PreservationRecord]:
    """Training and held-out points under an encoder."""
    with torch.no_grad():
        known, asked = (
            torch.cat([encoder(part) for part in images.split(1000)]).numpy()
            for images in (points.train, points.test)
        )
    yield from _both(ENCODER, seed, points, known, asked, neighbours)


def of_pca(points: Points, neighbours: int) -> Iterator[PreservationRecord]:
    """Both under the first two principal components of the training points."""
    train, test = _rows(points)
    components = PCA(2).fit(train)
    known, asked = components.transform(train), components.transform(test)
    yield from _both(LINEAR, None, points, known, asked, neighbours)


def of_pixels(points: Points, neighbours: int) -> Iterator[PreservationRecord]:
    """Both as they are: what no map of them can keep more of."""
    train, test = _rows(points)
    yield from _both(PIXELS, None, points, train, test, neighbours)


def of_tsne(
    points: Points, seed: int, neighbours: int, perplexity: float, *, together: bool
) -> Iterator[PreservationRecord]:
    """scikit-learn's t-SNE, which has no place for points that it was not given.

    Args:
        points, seed, perplexity: as for an encoder.
        neighbours: of the measures.
        together: whether the held-out points are given to it with the others; they are then
            not held out any more.
    """
    train, test = _rows(points)
    given = np.concatenate([train, test]) if together else train
    embedded = TSNE(perplexity=perplexity, random_state=seed).fit_transform(given)
    known, asked = embedded[: len(train)], embedded[len(train) :]
    if together:
        yield from _both(TOGETHER, seed, points, known, asked, neighbours)
    else:
        yield _training(ALONE, seed, points, known, neighbours)


def _both(
    name: str,
    seed: int | None,
    points: Points,
    known: np.ndarray,
    asked: np.ndarray,
    neighbours: int,
) -> Iterator[PreservationRecord]:
    yield _training(name, seed, points, known, neighbours)
    _, test = _rows(points)
    labels = points.train_labels.numpy(), points.test_labels.numpy()
    accuracy = label_accuracy(known, labels[0], asked, labels[1], neighbours)
    kept = preservation(test, asked, neighbours)
    yield PreservationRecord(name, seed, "held-out", *kept, accuracy)


def _training(
    name: str, seed: int | None, points: Points, known: np.ndarray, neighbours: int
) -> PreservationRecord:
    train, _ = _rows(points)
    labels = points.train_labels.numpy()
    kept = preservation(train, known, neighbours)
    accuracy = label_accuracy(known, labels, None, labels, neighbours)
    return PreservationRecord(name, seed, "training", *kept, accuracy)


def _rows(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """Training and held-out points as rows of features."""
    return points.train.flatten(1).numpy(), points.test.flatten(1).numpy()
