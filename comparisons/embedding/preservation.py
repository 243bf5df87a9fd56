"""How well a map keeps neighbours: trustworthiness, continuity, and labels of neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier

from comparisons.embedding.affinities import EmbeddingError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Preservation", "check_neighbours", "label_accuracy", "preservation"]


class Preservation(NamedTuple):
    """How well neighbours are kept; 1 is perfect.

    Attributes:
        trustworthiness: are neighbours on the map neighbours in the data?
        continuity: are neighbours in the data neighbours on the map?
    """

    trustworthiness: float
    continuity: float


def preservation(points: np.ndarray, coordinates: np.ndarray, neighbours: int) -> Preservation:
    """Trustworthiness and continuity (Venna and Kaski 2006, doi 10.1016/j.neunet.2006.05.014).

    Both by `sklearn.manifold.trustworthiness`; continuity is that of the data as a map of the
    map.

    Args:
        points: (n, features).
        coordinates: (n, 2).
        neighbours: how many of each point, below n/2.

    Raises:
        EmbeddingError: there are more neighbours than the measures allow.
    """
    check_neighbours(len(points), neighbours)
    return Preservation(
        float(trustworthiness(points, coordinates, n_neighbors=neighbours)),
        float(trustworthiness(coordinates, points, n_neighbors=neighbours)),
    )


def check_neighbours(count: int, neighbours: int) -> None:
    """Raise EmbeddingError where ranks of so many neighbours mean nothing."""
    if not 1 <= neighbours < count / 2:
        raise EmbeddingError(
            f"Expected from 1 to {(count - 1) // 2} neighbours, got {neighbours}: of {count} "
            "points less than half can be neighbours of each, or ranks mean nothing. Lower the "
            "neighbours, or give more points."
        )


def label_accuracy(
    known: np.ndarray,
    labels: np.ndarray,
    asked: np.ndarray | None,
    expected: np.ndarray,
    neighbours: int,
) -> float:
    """The share of points whose label most of their nearest known points have.

    Args:
        known: (n, d), with their ``labels``, (n,).
        asked: (m, d), with the ``expected`` labels, (m,); None for the known points, each
            asked of the others.
        neighbours: how many of the known points vote.
    """
    classifier = KNeighborsClassifier(neighbours).fit(known, labels)
    return float((classifier.predict(asked) == expected).mean())
