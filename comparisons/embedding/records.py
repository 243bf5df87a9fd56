"""What is measured of a map, one record a line."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ClassRecord",
    "EncoderRecord",
    "MoveRecord",
    "PairRecord",
    "PreservationRecord",
    "Record",
]


@dataclass(frozen=True)
class PreservationRecord:
    """How well a map keeps neighbours.

    Attributes:
        map: how it was made.
        seed: of its making; None where nothing is drawn.
        points: "training" or "held-out".
        trustworthiness, continuity: see `Preservation`.
        accuracy: of labels by the nearest training points, for training points without
            themselves.
    """

    map: str
    seed: int | None
    points: str
    trustworthiness: float
    continuity: float
    accuracy: float
    kind: str = "preservation"


@dataclass(frozen=True)
class EncoderRecord:
    """An encoder and the exactness of its loadings at the held-out points.

    Attributes:
        weights: sha256 of its weights.
        divergence: KL(P‖Q) of the training points, averaged over the batches.
        spread: root mean square distance of the training points from the map's centre.
        completeness_error: the largest |Σ W ∘ x + b − y|, relative to the largest |y|.
        bias_share: median ‖b‖ / ‖y‖.
    """

    seed: int
    weights: str
    divergence: float
    spread: float
    completeness_error: float
    bias_share: float
    kind: str = "encoder"


@dataclass(frozen=True)
class ClassRecord:
    """The loadings of a class's held-out points.

    W Σ^½ weighs each direction by the data's deviation along it, Σ their covariance: what W
    says of directions in which the data hardly vary does not count.

    Attributes:
        agreement: mean cosine of a point's W Σ^½ with the class's mean.
        agreement_with_all: mean cosine of a point's W Σ^½ with the mean of all held-out points.
        overlap_with_pca: mean cos² of the angles between the plane of a point's two loadings,
            the rows of W, and that of the first two principal components.
        overlap_as_scores: the same of the rows of W Σ^½.
    """

    seed: int
    label: str
    points: int
    agreement: float
    agreement_with_all: float
    overlap_with_pca: float
    overlap_as_scores: float
    kind: str = "class"


@dataclass(frozen=True)
class PairRecord:
    """The distance of two held-out points, explained.

    Attributes:
        by_features, by_loadings, by_bias: parts of the distance, which they add up to.
        completeness_error: of y₁ − y₂, relative to the distance.
    """

    seed: int
    first: int
    second: int
    first_label: str
    second_label: str
    distance: float
    by_features: float
    by_loadings: float
    by_bias: float
    completeness_error: float
    kind: str = "pair"


@dataclass(frozen=True)
class MoveRecord:
    """A held-out point moved along a loading; the attributes are those of `Move`."""

    seed: int
    point: int
    label: str
    axis: int
    step: float
    module: str
    foretold: float
    inside: float
    beyond: tuple[float, ...]
    kind: str = "move"


Record = PreservationRecord | EncoderRecord | ClassRecord | PairRecord | MoveRecord
