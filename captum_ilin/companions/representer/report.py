"""``RefitReport``: how far a refit head may be trusted to speak for the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RefitReport", "logit_correlation", "top_agreement"]


@dataclass(frozen=True)
class RefitReport:
    """What the refit reached, and how like the network it is. All of the training examples.

    Attributes:
        penalty: λ.
        targets: "model" or "labels".
        examples, features, classes: sizes; features with the constant one.
        evaluations: passes over the features that L-BFGS took.
        stationarity: ‖gradient‖ / (2λ‖Θ‖) at the end.
        identity_residual: the largest |Θ f_t − Σ_i α_i f_iᵀ f_t|, relative to the largest
            |Θ f_t|, over some of the training examples; one side from Θ, the other from the
            products of features.
        correlation: Pearson's, of the refit's logits with the network's, each example's
            counted from their mean over the classes, which softmax does not see.
        agreement: the share of examples on which both put the same class first.
    """

    penalty: float
    targets: str
    examples: int
    features: int
    classes: int
    evaluations: int
    stationarity: float
    identity_residual: float
    correlation: float
    agreement: float

    def __str__(self) -> str:
        return (
            f"refit to the {'labels' if self.targets == 'labels' else 'model'} of "
            f"{self.examples:,} examples, {self.features} features, {self.classes} classes, "
            f"λ = {self.penalty:g}: stationary to {self.stationarity:.1e} in "
            f"{self.evaluations} passes, identity to {self.identity_residual:.1e}; logits "
            f"correlate {self.correlation:.3f} with the network's, same class first on "
            f"{self.agreement:.1%}"
        )


def logit_correlation(one: Tensor, other: Tensor) -> float:
    """Pearson's correlation of logits, (n, classes), counted from each row's mean.

    >>> import torch
    >>> z = torch.tensor([[0.0, 1.0], [3.0, 1.0]])
    >>> round(logit_correlation(z, 2 * z + torch.tensor([[5.0], [7.0]])), 6)
    1.0
    """
    a, b = ((z.double() - z.double().mean(1, keepdim=True)).flatten() for z in (one, other))
    scale = float(a.norm() * b.norm())
    return float(a @ b) / scale if scale else float("nan")


def top_agreement(one: Tensor, other: Tensor) -> float:
    """The share of rows whose largest entries are at the same place.

    >>> import torch
    >>> top_agreement(torch.tensor([[0.0, 1.0], [3.0, 1.0]]), torch.tensor([[0.0, 1], [0, 1]]))
    0.5
    """
    return float((one.argmax(1) == other.argmax(1)).double().mean())
