"""What is measured of representer points, one record a line."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "DetectionRecord",
    "NetworkRecord",
    "Record",
    "RefitRecord",
    "ShareRecord",
    "StaticRecord",
    "TimeRecord",
]


@dataclass(frozen=True)
class NetworkRecord:
    """A network trained on labels of which a share is flipped.

    Attributes:
        weights: sha256.
        examples: training images.
        train_accuracy: on the labels as they were trained on.
        test_accuracy: on held-out images, with their own labels.
    """

    seed: int
    flipped: float
    epochs: int
    weights: str
    examples: int
    train_accuracy: float
    test_accuracy: float
    kind: str = "network"


@dataclass(frozen=True)
class DetectionRecord:
    """How soon a ranking of the training examples finds the flipped labels.

    Attributes:
        method: of the ranking.
        area: under ``found`` over all shares checked, one example at a time.
        found: share of the flipped ones among the first 5 %, 10 %, … 100 %.
    """

    seed: int
    flipped: float
    epochs: int
    method: str
    area: float
    found: tuple[float, ...]
    kind: str = "detection"


@dataclass(frozen=True)
class RefitRecord:
    """A refit head beside the network's own; the attributes are those of `RefitReport`.

    Attributes:
        test_identity: the identity's residual on the held-out images.
        test_agreement: share of them on which both put the same class first.
    """

    seed: int
    flipped: float
    epochs: int
    targets: str
    penalty: float
    evaluations: int
    stationarity: float
    identity: float
    test_identity: float
    correlation: float
    agreement: float
    test_agreement: float
    kind: str = "refit"


@dataclass(frozen=True)
class StaticRecord:
    """How much the five strongest excitatory examples differ from one test image to another.

    Attributes:
        same_first: share of the test images of a predicted class whose strongest voter is the
            one most common in that class, averaged over the images.
        same_set: the same of the set of all five.
        shared: mean share of the five that two images of a predicted class have in common.
        distinct: how many training examples are among anyone's five.
        images: test images.
    """

    seed: int
    method: str
    same_first: float
    same_set: float
    shared: float
    distinct: int
    images: int
    kind: str = "static"


@dataclass(frozen=True)
class TimeRecord:
    """Votes of all training examples on test images, and what is computed once before.

    Attributes:
        seconds: processor time for each test image, of each repeat.
        ratios: of TracInCPFast's to this one's in the same repeat: above 1 this one is faster.
        once: processor time of the set-up.
    """

    seed: int
    method: str
    images: int
    examples: int
    seconds: tuple[float, ...]
    ratios: tuple[float, ...]
    once: float
    kind: str = "time"


@dataclass(frozen=True)
class ShareRecord:
    """Votes split over pixels, in float64.

    Attributes:
        votes: how many.
        completeness_error: the largest |Σ shares − vote|, relative to the largest |vote| of
            the batch.
        bias_share: median of |bias part| / (|pixels| + |bias part|).
        alike: mean |cosine| between the maps of two voters on the same image.
    """

    seed: int
    votes: int
    completeness_error: float
    bias_share: float
    alike: float
    kind: str = "share"


Record = NetworkRecord | DetectionRecord | RefitRecord | StaticRecord | TimeRecord | ShareRecord
