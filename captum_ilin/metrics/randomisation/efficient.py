"""Efficient MPRT (Hedström et al. 2024): how much more complex an attribution becomes.

No similarity: the complexity of the map before and after every layer is randomised.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from captum_ilin.metrics.chance import generator_of
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.examples import Examples
from captum_ilin.metrics.features import flattened
from captum_ilin.metrics.randomisation.copied import Copied
from captum_ilin.metrics.randomisation.entries import Entries
from captum_ilin.metrics.scores import Direction, Scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from captum_ilin.metrics.chance import Seed
    from captum_ilin.metrics.explaining import Method
    from captum_ilin.metrics.features import Inputs
    from captum_ilin.metrics.randomisation.redrawing import BatchNorm

__all__ = ["efficient_mprt", "histogram_entropy"]

SIMPLE = "The original map fills one bin, so a relative rise of its entropy is undefined."
NOT_FINITE = "The attributions hold NaN or an infinity."


def efficient_mprt(
    method: Method,
    model: nn.Module,
    inputs: Inputs,
    *,
    target: Any = None,
    seeds: int = 5,
    bins: int = 100,
    randomise: Callable[[nn.Module, int], None] | None = None,
    batch_norm: BatchNorm = "reset",
    attribute_kwargs: Mapping[str, Any] | None = None,
    additional_forward_args: Any = None,
    batch_size: int = 32,
    seed: Seed = 0,
) -> Scores:
    """Relative rise of the attributions' complexity when every layer is randomised.

    (ξ(φ(F̂, x)) − ξ(φ(F, x))) / ξ(φ(F, x)), with ξ the `histogram_entropy`, averaged over
    the seeds.

    Args:
        method, model, inputs, target, seeds, randomise, batch_norm: as `mprt`.
        bins: of the histogram.
        attribute_kwargs, additional_forward_args, batch_size, seed: as `mprt`.

    Returns:
        Positive where a network that knows nothing gives the more complex map; descriptive,
        because a method is not better for it without limit.

    Raises:
        MetricInputError: no seeds, or a model without parameters.

    Cost: 1 + seeds attributions of each example.

    Hedström et al. 2024, arXiv:2401.06465, section 4.2.

    >>> import torch
    >>> from torch import nn
    >>> from captum.attr import Saliency
    >>> from captum_ilin.metrics import efficient_mprt
    >>> model = nn.Sequential(nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 2))
    >>> len(efficient_mprt(Saliency, model, torch.rand(3, 9), target=0))
    3
    """
    if seeds < 1:
        raise MetricInputError(f"seeds: expected 1 or more randomisations, got {seeds}.")
    copied = Copied(model, inputs, additional_forward_args, randomise, batch_norm)
    shape = (seeds, len(copied.layers))
    numbers = torch.randint(2**62, shape, generator=generator_of(seed)).tolist()
    examples = Examples(inputs, target, additional_forward_args, attribute_kwargs or {})
    found = []
    for chunk in examples.chunks(batch_size):
        copied.restore()
        before = histogram_entropy(chunk.attributions(method, copied.module, 0), bins=bins)
        rises = []
        for of_layers in numbers:
            copied.randomise_all(copied.layers, of_layers)
            after = chunk.attributions(method, copied.module, of_layers[0] + 1)
            rises.append(_rise(before, histogram_entropy(after, bins=bins)))
        found.append(Entries.stacked(rises))
    return Entries.joined(found).averaged("efficient_mprt")


def histogram_entropy(attributions: Inputs, *, bins: int = 100) -> Scores:
    """Entropy of the histogram of an attribution map's values, in nats.

    −Σᵢ pᵢ log pᵢ, with pᵢ the part of the values in the i-th of equal bins from the map's
    smallest value to its largest.

    Args:
        attributions: (batch, \\*features), or a tuple of such tensors.
        bins: how many.

    Returns:
        Values from 0 to log(bins), descriptive. NaN for maps with NaN or infinities.

    Hedström et al. 2024, arXiv:2401.06465, section 4.2.

    >>> import torch
    >>> from captum_ilin.metrics import histogram_entropy
    >>> histogram_entropy(torch.tensor([[0.0, 1.0], [3.0, 3.0]])).values
    tensor([0.6931, 0.0000], dtype=torch.float64)
    """
    rows = flattened(attributions).to("cpu", torch.float64)
    values = [_entropy(row, bins) if bool(row.isfinite().all()) else math.nan for row in rows]
    return Scores.of("histogram_entropy", Direction.DESCRIPTIVE, values, NOT_FINITE)


def _entropy(row: Tensor, bins: int) -> float:
    counts = _counts(row, bins)
    parts = torch.from_numpy(counts[counts > 0] / counts.sum())
    return float(torch.special.entr(parts).sum())


def _counts(row: Tensor, bins: int) -> Any:
    """(bins,): how many values each bin holds."""
    try:
        return np.histogram(row.numpy(), bins)[0]
    except ValueError:
        # Values that differ by their last bits alone, or by more than the largest float: NumPy
        # finds no edges between them, so they are brought to [0, 1] first.
        shifted = row / 2 - row.min() / 2
        return np.histogram((shifted / shifted.max()).numpy(), bins, (0.0, 1.0))[0]


def _rise(before: Scores, after: Scores) -> Scores:
    values = torch.where(
        before.values == 0, torch.nan, (after.values - before.values) / before.values
    )
    reasons = [a or b or SIMPLE for a, b in zip(before.reasons, after.reasons, strict=True)]
    return Scores.of("efficient_mprt", Direction.DESCRIPTIVE, values, reasons)
