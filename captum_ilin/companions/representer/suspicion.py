"""Which training labels look wrong, by three readings of the votes.

``coefficient``  α_iy of the example's own label y: how hard the fit has to pull to keep it
                 (Yeh et al. 2018, section 4.1).
``self_vote``    α_iy f_iᵀ f_i: what of the label's logit the example gives itself.
``others``       max_{c≠y} Φ'_c − Φ'_y, where Φ' = Φ(x_i) − α_i f_iᵀ f_i is what all *other*
                 examples say: by how much they would have it in another class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from captum_ilin.companions.errors import CompanionInputError
from captum_ilin.companions.representer.voting import refit_logits

if TYPE_CHECKING:
    from torch import Tensor

    from captum_ilin.companions.representer.refit import Refit
    from captum_ilin.companions.representer.trainingset import TrainingSet

__all__ = ["READINGS", "Suspects", "check_reading", "self_votes", "suspicion"]

READINGS = ("coefficient", "self_vote", "others")


class Suspects(NamedTuple):
    """Training examples, the most suspicious first.

    Attributes:
        indices: their numbers, (k,).
        scores: of each, (k,), falling.
    """

    indices: Tensor
    scores: Tensor


def check_reading(by: str) -> None:
    """Raise for a reading that does not exist."""
    if by not in READINGS:
        raise CompanionInputError(
            f"by must be one of {', '.join(map(repr, READINGS))}, but got {by!r}."
        )


def suspicion(examples: TrainingSet, refit: Refit, labels: Tensor, by: str) -> Tensor:
    """How wrong each training example's label looks, (n,); larger is more so."""
    own = labels[:, None]
    if by == "coefficient":
        return refit.coefficients.gather(1, own)[:, 0]
    votes = self_votes(examples, refit)
    if by == "self_vote":
        return votes.gather(1, own)[:, 0]
    others = refit_logits(examples, refit) - votes
    of_label = others.gather(1, own)[:, 0]
    return others.scatter(1, own, -torch.inf).amax(1) - of_label


def self_votes(examples: TrainingSet, refit: Refit) -> Tensor:
    """α_ic f_iᵀ f_i, (n, classes)."""
    constant = float(examples.has_bias)
    squares = torch.cat([f.square().sum(1) + constant for _, f in examples.portions()])
    return refit.coefficients * squares[:, None]
