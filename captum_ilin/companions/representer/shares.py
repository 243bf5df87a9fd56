"""``VoteShares``: votes of training examples, each split over the input features it rests on.

The frozen network makes the features of a test input by an affine map, f_t = W_f x_t + b_f, so
the vote α_ic f_iᵀ f_t is α_ic (f_iᵀ W_f) x_t + α_ic f_iᵀ b_f: one vector-Jacobian product for
each vote. A head's constant feature 1 adds α_ic to the second part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from captum_ilin.linearization import linearize

if TYPE_CHECKING:
    from torch import Tensor

    from captum_ilin.companions.head import Head
    from captum_ilin.ruletable import RuleTable

    Value = Tensor | tuple[Tensor, ...]

__all__ = ["VoteShares", "shares_of"]


@dataclass(frozen=True)
class VoteShares:
    """Votes on test inputs, and the input features that each rests on.

    ``features.sum(over features) + bias == votes``, each measured on its own: the votes come
    from a plain forward pass, the shares from the frozen network.

    Attributes:
        examples: numbers of the training examples, (batch, k).
        targets: the class that is voted on, (batch,).
        votes: α_ic f_iᵀ f_t, (batch, k), float64, in the unit of the logit.
        features: what of a vote each input feature makes, (batch, k, \\*features), a tuple for
            a tuple of inputs.
        bias: what of it goes back to constants, (batch, k): the network's below the head, and
            the head's own constant feature.
    """

    examples: Tensor
    targets: Tensor
    votes: Tensor
    features: Value
    bias: Tensor

    @property
    def totals(self) -> Tensor:
        """(batch, k): the shares added up."""
        parts = self.features if isinstance(self.features, tuple) else (self.features,)
        return sum((part.flatten(2).sum(2) for part in parts), self.bias)

    @property
    def completeness_error(self) -> float:
        """The largest |Σ shares − vote|, relative to the largest |vote|."""
        off = (self.totals.double().cpu() - self.votes).abs().max()
        largest = self.votes.abs().max()
        return float(off / largest) if largest else float(off)


def shares_of(
    head: Head, inputs: Value, directions: Tensor, constants: Tensor, rules: RuleTable | None
) -> tuple[Value, Tensor]:
    """The parts of k votes for each input.

    Args:
        head: the model's.
        inputs: (batch, \\*features), or a tuple.
        directions: α_ic f_i, (batch, k, width), without the constant feature.
        constants: α_ic where the head has a constant feature, else 0, (batch, k).
        rules: of the freezing.

    Returns:
        (batch, k, \\*features), and (batch, k).

    Cost: a forward pass that is frozen, another for the layer, k backward passes, and two for
    the bias.
    """
    layer = linearize(head.model, inputs, rules=rules).layer(
        head.module, call=-1, at_input=True
    )
    below_bias = cast("Tensor", layer.below_bias)
    u = directions.transpose(0, 1).to(below_bias)  # (k, batch, width): counts in front
    weights = u @ layer.below
    bias = (u * below_bias).sum(2).T + constants.to(below_bias)
    if isinstance(inputs, tuple):
        return tuple(_times(w, x) for w, x in zip(weights, inputs, strict=True)), bias
    return _times(cast("Tensor", weights), inputs), bias


def _times(weights: Tensor, inputs: Tensor) -> Tensor:
    """(batch, k, \\*features) of (k, batch, \\*features)."""
    return (weights * inputs).transpose(0, 1)
