"""Votes α_ic f_iᵀ f_t of all training examples, a block of them at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from captum.influence._utils.common import KMostInfluentialResults
from torch import Tensor
from tqdm.auto import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from captum_ilin.companions.representer.refit import Refit
    from captum_ilin.companions.representer.trainingset import TrainingSet

__all__ = ["identity_residual", "refit_logits", "strongest", "votes"]


def votes(
    examples: TrainingSet,
    coefficients: Tensor,
    features: Tensor,
    targets: Tensor,
    *,
    show_progress: bool,
) -> Iterator[Tensor]:
    """(batch, rows) for each block of training examples.

    Args:
        examples: the training examples.
        coefficients: α, (n, classes).
        features: f_t, (batch, features), without the constant one.
        targets: the class that is voted on, (batch,).
        show_progress: whether there is a bar.
    """
    asked = coefficients[:, targets]  # (n, batch)
    portions, total = examples.portions(), len(examples.blocks)
    for rows, block in tqdm(portions, "votes", total=total, disable=not show_progress):
        yield examples.products(features, block) * asked[rows].T


def strongest(blocks: Iterable[Tensor], k: int, *, proponents: bool) -> KMostInfluentialResults:
    """The k largest (or lowest) of each row, over blocks of columns."""
    best, indices, start = torch.empty(0), torch.empty(0, dtype=torch.long), 0
    for block in blocks:
        values = block
        numbers = torch.arange(start, start + block.shape[1]).expand_as(block)
        start += block.shape[1]
        if best.numel():
            values, numbers = torch.cat([best, values], 1), torch.cat([indices, numbers], 1)
        best, places = values.topk(min(k, values.shape[1]), dim=1, largest=proponents)
        indices = numbers.gather(1, places)
    return KMostInfluentialResults(indices, best)


def refit_logits(examples: TrainingSet, refit: Refit) -> Tensor:
    """Θ f_i of every training example, (n, classes)."""
    return torch.cat([examples.scores(f, refit.weight) for _, f in examples.portions()])


def identity_residual(examples: TrainingSet, refit: Refit, features: Tensor) -> float:
    """The largest |Θ f_t − Σ_i α_i f_iᵀ f_t|, relative to the largest |Θ f_t|."""
    logits = examples.scores(features, refit.weight)
    total = torch.zeros_like(logits)
    for rows, block in examples.portions():
        total += examples.products(features, block) @ refit.coefficients[rows]
    largest, off = float(logits.abs().max()), float((logits - total).abs().max())
    return off / largest if largest else off
