"""What each letter does at each position: three readings, and how far they agree.

The field h_i(a) is an average over the background. The weight of the map at x in the zero-sum
gauge, W'_(i,a), holds the gates that the network has at x. The substitution at x is what the
network does: F(x with a at i) − Σ_b p_i(b) F(x with b at i). Its average over x ~ p is h.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from captum_ilin import linearize
from captum_ilin.companions.categorical import class_gauge, zero_sum_map
from comparisons.categorical.records import AgreementRecord
from comparisons.models.peptides_data import GROUPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from captum_ilin.companions.categorical import Background, Expansion

__all__ = [
    "FIELD",
    "MAP",
    "SWAP",
    "TARGET",
    "Readings",
    "agreements",
    "compared",
    "correlations",
    "logit_of",
    "readings",
]

TARGET = 1  # antimicrobial
FIELD, MAP, MEAN_MAP = "field h", "W' at a window", "mean W'"
SWAP, MEAN_SWAP, PLAIN = "substitution at a window", "mean substitution", "W as it is"


class Readings(NamedTuple):
    """Of held-out windows, (windows, 15, 20), in the class gauge.

    Attributes:
        weights, biases: W' and b' in the zero-sum gauge.
        plain: W as the network has it.
        swaps: substitutions.
    """

    weights: Tensor
    biases: Tensor
    plain: Tensor
    swaps: Tensor


def logit_of(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """The logits in the class gauge."""

    def forward(inputs: Tensor) -> Tensor:
        return class_gauge(model(inputs))

    return forward


def readings(model: nn.Module, codes: Tensor, background: Background) -> Readings:
    """Every window's."""
    forward = logit_of(model)
    inputs = GROUPS.encode(codes).double()
    affine_map = linearize(forward, inputs)
    gauged = zero_sum_map(affine_map, GROUPS, TARGET, background=background)
    plain = affine_map.weight(TARGET)
    assert isinstance(plain, Tensor)
    return Readings(
        gauged.weight, gauged.bias, plain.detach(), _substitutions(forward, codes, background)
    )


@torch.no_grad()
def _substitutions(
    forward: Callable[[Tensor], Tensor], codes: Tensor, background: Background
) -> Tensor:
    found = []
    for position, count in enumerate(GROUPS.counts):
        each = []
        for letter in range(count):
            swapped = codes.clone()
            swapped[:, position] = letter
            each.append(forward(GROUPS.encode(swapped).double())[:, TARGET])
        values = torch.stack(each, 1)
        mean = values @ background.probabilities[position]
        found.append(values - mean[:, None])
    return torch.stack(found, 1)


def agreements(seed: int, expansion: Expansion, found: Readings) -> Iterator[AgreementRecord]:
    """Each reading beside another."""
    field, name = expansion.fields()[None], expansion.background.name
    mean_map, mean_swap = found.weights.mean(0)[None], found.swaps.mean(0)[None]
    pairs = {
        (SWAP, MAP): (found.swaps, found.weights),
        (SWAP, FIELD): (found.swaps, field),
        (SWAP, PLAIN): (found.swaps, found.plain),
        (FIELD, MAP): (field, found.weights),
        (FIELD, MEAN_MAP): (field, mean_map),
        (FIELD, MEAN_SWAP): (field, mean_swap),
        (MEAN_SWAP, MEAN_MAP): (mean_swap, mean_map),
        (MAP, PLAIN): (found.weights, found.plain),
    }
    for names, tables in pairs.items():
        yield compared(seed, name, names, tables)


def compared(
    seed: int | None, background: str, names: tuple[str, str], tables: tuple[Tensor, Tensor]
) -> AgreementRecord:
    """Two readings, (windows, positions, letters), or one row for all windows."""
    values = correlations(*tables).tolist()
    sizes = (_size(tables[1]) / _size(tables[0])).tolist()
    median = statistics.median(values)
    return AgreementRecord(
        seed, background, *names, median, min(values), max(values), statistics.median(sizes)
    )


def correlations(one: Tensor, other: Tensor) -> Tensor:
    """Pearson's, of each row of one with the same row, or the only row, of the other."""
    flat, beside = (
        values.flatten(1) - values.flatten(1).mean(1, keepdim=True) for values in (one, other)
    )
    return (flat * beside).sum(1) / (flat.norm(dim=1) * beside.norm(dim=1))


def _size(values: Tensor) -> Tensor:
    return values.flatten(1).square().mean(1).sqrt()
