"""What is measured of an expansion, one record a line."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "AgreementRecord",
    "CheckRecord",
    "FieldRecord",
    "NetworkRecord",
    "PredictionRecord",
    "Record",
    "ShareRecord",
    "StrengthRecord",
]


@dataclass(frozen=True)
class NetworkRecord:
    """A trained network.

    Attributes:
        network: "peptides" or "filetype".
        seed: of its training; None where it was trained elsewhere.
        weights: sha256.
        accuracy: on held-out examples, by the label's logit; None where not measured.
        train_accuracy: the same on the training examples.
        majority: the share of the larger class of the held-out examples.
    """

    network: str
    seed: int | None
    weights: str
    accuracy: float | None
    train_accuracy: float | None
    majority: float | None
    kind: str = "network"


@dataclass(frozen=True)
class ShareRecord:
    """How much of the variance over the background the terms of an order explain.

    Attributes:
        background: its name; of file types, with what the rest of the file is.
        samples: of each pair of positions; None where every pattern was run.
        order: "1", "2", …, or "more" for all the terms of more positions.
        share, error: of the variance, and its standard error; None where exact.
        mean, deviation: of the logit over the background: φ, and the variance's square root.
    """

    network: str
    seed: int | None
    background: str
    samples: int | None
    order: str
    share: float
    error: float | None
    mean: float
    deviation: float
    kind: str = "share"


@dataclass(frozen=True)
class FieldRecord:
    """h_i(a), the logit that a category adds at a position, and its standard error."""

    network: str
    seed: int | None
    background: str
    position: str
    category: str
    field: float
    error: float | None
    kind: str = "field"


@dataclass(frozen=True)
class StrengthRecord:
    """The variance of J_ij, in the logit's unit squared; may be below 0 where sampled."""

    network: str
    seed: int | None
    background: str
    first: str
    second: str
    strength: float
    kind: str = "strength"


@dataclass(frozen=True)
class PredictionRecord:
    """How well something simpler stands for the network on held-out peptides.

    Attributes:
        by: what predicts the network's logit.
        determination: 1 − mean squared error / variance of the logit; below 0 if worse than
            the mean.
        agreement: how often both say the same class.
        accuracy: how often it says the label.
    """

    seed: int
    background: str
    by: str
    determination: float
    agreement: float
    accuracy: float
    kind: str = "prediction"


@dataclass(frozen=True)
class AgreementRecord:
    """Two readings of what each letter does at each position, compared over all of them.

    Attributes:
        seed: None where networks of different seeds are compared.
        first, second: what is compared.
        median, lowest, highest: Pearson's correlation, over held-out windows; all three the
            same where there is only one.
        size: median of the second's root mean square over the first's.
    """

    seed: int | None
    background: str
    first: str
    second: str
    median: float
    lowest: float
    highest: float
    size: float
    kind: str = "agreement"


@dataclass(frozen=True)
class CheckRecord:
    """Sampling against every pattern, on four positions of a trained network.

    Attributes:
        patterns: run for the exact terms.
        full_error: the largest |Σ terms − F| over every pattern, of all orders.
        gauge_error: the largest average of a term over one of its positions.
        samples: of each pair of positions.
        repeats: estimates, each of its own seed.
        entries: of all their terms.
        covered, within: the share of entries off by less than 1.96, and 3, standard errors.
    """

    seed: int
    positions: str
    patterns: int
    full_error: float
    gauge_error: float
    samples: int
    repeats: int
    entries: int
    covered: float
    within: float
    kind: str = "check"


Record = (
    NetworkRecord
    | ShareRecord
    | FieldRecord
    | StrengthRecord
    | PredictionRecord
    | AgreementRecord
    | CheckRecord
)
