"""What is measured of geometric metrics, one record a line."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FailureRecord", "NetworkRecord", "PredictorRecord", "ReachRecord", "ShiftRecord"]


@dataclass(frozen=True)
class NetworkRecord:
    """A network on clean images.

    Attributes:
        network: "CNN" or "16 units".
        weights: sha256.
        images: held-out ones.
        cross_entropy_error: the largest |‖W‖‖X‖ cos θ + b decomposed − F.cross_entropy|.
        completeness_error: of W x + b, `InputGeometry.completeness_error`.
    """

    network: str
    seed: int
    weights: str
    images: int
    accuracy: float
    cross_entropy_error: float
    completeness_error: float
    kind: str = "network"


@dataclass(frozen=True)
class ReachRecord:
    """How far the region of each image's map reaches towards the boundary.

    Attributes:
        inside: share of the images whose boundary lies inside the region.
        certified: share of which no boundary is nearer.
        ends_first: share whose region ends first.
        exit: medians over the images of the region's end / the margin, along the way to it.
        radius: of the region's distance in every direction / the margin.
        margin: median, ℓ2.
        tie: of those inside, the largest |F_p − F_j| of the network itself at the boundary,
            relative to its largest |F|.
        crosses: share whose prediction has changed within three margins along that way.
        crossing: quartiles of where it changes first, in margins, inf where it does not.
    """

    network: str
    seed: int
    images: int
    inside: float
    certified: float
    ends_first: float
    exit: float
    radius: float
    margin: float
    tie: float
    crosses: float
    crossing: tuple[float, float, float]
    kind: str = "reach"


@dataclass(frozen=True)
class ShiftRecord:
    """A metric's distribution before and after.

    Attributes:
        space: "features" or "inputs".
        before, after: quantiles at 5, 25, 50, 75, 95 %.
        wasserstein: distance of the two, in the metric's unit.
    """

    seed: int
    condition: str
    space: str
    metric: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    wasserstein: float
    kind: str = "shift"


@dataclass(frozen=True)
class FailureRecord:
    """How many examples fail, and the ten most fragile by what margin is left.

    Attributes:
        right: right before.
        failed: of these, wrong after.
        accuracy: after, of all.
        fragile: their numbers among the held-out images.
        by_input: how many of the ten with the least input margin before are among those that
            fail; ``by_feature`` and ``by_confidence`` likewise.
    """

    seed: int
    condition: str
    right: int
    failed: int
    accuracy: float
    fragile: tuple[int, ...]
    by_input: int
    by_feature: int
    by_confidence: int
    kind: str = "failure"


@dataclass(frozen=True)
class PredictorRecord:
    """Does a number read before predict what fails after; means over the networks.

    Attributes:
        area: AUC with its interval, value, low, high.
        beside_confidence: its difference from that of the softmax confidence.
        beside_feature_margin: from that of the margin before the head.
        failed: examples, all networks together.
    """

    condition: str
    predictor: str
    area: tuple[float, float, float]
    beside_confidence: tuple[float, float, float]
    beside_feature_margin: tuple[float, float, float]
    failed: int
    kind: str = "predictor"
