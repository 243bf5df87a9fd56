"""The order in which features go, by their attribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.metrics.chance import generator_of

if TYPE_CHECKING:
    from captum_ilin.metrics.chance import Seed
    from captum_ilin.metrics.faithfulness.curve import Order
    from captum_ilin.metrics.features import Features

__all__ = ["ranks_of"]


def ranks_of(features: Features, scores: Tensor, order: Order, seed: Seed) -> Tensor:
    """(batch, count): the place of each feature in the order, 0 for the first.

    Ties stand in a random order drawn from the seed: the same one for every example, and the
    same one in both orders. A constant attribution is then the same random order in both, and
    the sign-flipped attribution has exactly the other order. Features that an example does
    not have come last.

    Args:
        features: of the inputs.
        scores: (batch, count), the attribution of each feature.
        order: "morf" or "lerf".
        seed: of the order of ties.
    """
    keys = torch.rand(features.count, generator=generator_of(seed), dtype=torch.float64)
    shuffled = keys.argsort().to(scores.device)
    values = -scores if order == "morf" else scores
    values = values.where(features.present(), torch.inf)
    places = shuffled[values[:, shuffled].argsort(dim=1, stable=True)]
    return places.argsort(dim=1)
