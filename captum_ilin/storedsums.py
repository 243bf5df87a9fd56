"""Whether what is stored adds up: <W_t, x0> + b_t = F_t(x0), and ledgers to b, from the file.

Everything is summed in float64, so that an error is that of the map and not of the sums here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from captum_ilin.location import Site

__all__ = ["completeness_error", "ledger_error"]


def completeness_error(
    leaves: tuple[Tensor, ...], weights: tuple[Tensor, ...], biases: Tensor, values: Tensor
) -> float:
    """The largest |<W, x0> + b − F| relative to max(|F|, |b| + Σ|W∘x0|).

    Args:
        leaves: x0, (batch, \\*features) of each input.
        weights: (targets, batch, \\*features) of each input.
        biases, values: b and F, (targets, batch).
    """
    largest = 0.0
    for number, (bias, value) in enumerate(zip(biases.double(), values.double(), strict=True)):
        total, size = bias, bias.abs()
        for weight, leaf in zip(weights, leaves, strict=True):
            terms = (weight[number].double() * leaf.double()).unsqueeze(-1).flatten(1)
            total, size = total + terms.sum(1), size + terms.abs().sum(1)
        largest = max(largest, _relative(total - value, torch.maximum(value.abs(), size)))
    return largest


def ledger_error(ledgers: Iterable[Mapping[Site, Tensor]], biases: Tensor) -> float:
    """The largest |Σ ledger − Σ b| over the batch, relative to max(Σ|ledger|, Σ|b|)."""
    largest = 0.0
    for ledger, bias in zip(ledgers, biases.double(), strict=True):
        terms = [term.double() for term in ledger.values()]
        zero = bias.new_zeros(())
        total = sum((term.sum() for term in terms), zero)
        size = torch.maximum(sum((term.abs().sum() for term in terms), zero), bias.abs().sum())
        largest = max(largest, _relative(total - bias.sum(), size))
    return largest


def _relative(error: Tensor, scale: Tensor) -> float:
    """Largest |error| / scale; 0/0 is no error, a NaN stays one."""
    return float((error.abs() / scale).masked_fill(error == 0, 0.0).max())
