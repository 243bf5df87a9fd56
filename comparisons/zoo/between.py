"""How exactly an architecture's difference between two points is explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from captum_ilin import REFERENCE_RULES, in_double, linearize
from comparisons.zoo.measure import total

if TYPE_CHECKING:
    from torch import Tensor

    from captum_ilin import AffineMap, RuleTable
    from comparisons.zoo.architecture import Architecture

__all__ = ["Difference", "measure_between"]


@dataclass(frozen=True)
class Difference:
    """What is measured of one architecture between its inputs and random baselines.

    Attributes:
        name, library: which one.
        ops: how many calls of ops had an active argument.
        error: largest |Σ W∘(x − x') − (F(x) − F(x'))| of the output that is largest at x,
            relative to max(|F(x) − F(x')|, Σ|W∘(x − x')|), float64.
        map_error: largest of |G(x) − F(x)| and of |W x + b − F(x)|, as the certificate has it.
        single_error: ``error`` in float32.
        change: smallest |F(x) − F(x')|, so that an error would show.
        unregistered: the ops that have no rule between two points, and how often.
    """

    name: str
    library: str
    ops: int
    error: float
    map_error: float
    single_error: float
    change: float
    unregistered: dict[str, int]


def measure_between(
    architecture: Architecture, rules: RuleTable = REFERENCE_RULES, share: float = 1.0
) -> Difference:
    """The difference from random baselines of the inputs' own mean and spread.

    Or, with another ``share`` than 1, from a point that far on the way to them.

    Of one example: between two points some networks mix those of a batch, such as
    Nystromformer, which divides by the largest sum of all.
    """
    network = architecture.network()
    forward, inputs = architecture.forward(network), architecture.inputs(1)
    generator = torch.Generator().manual_seed(2)  # the inputs have 1
    baselines = tuple(
        torch.lerp(values, _random_like(values, generator), share) for values in inputs
    )
    single = linearize(forward, inputs, baselines=baselines, rules=rules)
    single_error, _ = _error(single)
    network.double()
    wide = [tuple(values.double() for values in point) for point in (inputs, baselines)]
    double = linearize(in_double(forward), wide[0], baselines=wide[1], rules=rules)
    error, change = _error(double)
    certificate = double.certificate()
    return Difference(
        name=architecture.name,
        library=architecture.library,
        ops=double.freezing.order,
        error=error,
        map_error=max(certificate.value_error, certificate.completeness_error),
        single_error=single_error,
        change=change,
        unregistered=dict(certificate.unregistered),
    )


def _random_like(values: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.randn(values.shape, generator=generator)
    return values.mean() + values.std() * drawn


def _error(affine_map: AffineMap) -> tuple[float, float]:
    """Of each example's largest output, from two plain forward passes."""
    target, function = affine_map.outputs.argmax(1), affine_map.forward_func
    assert affine_map.baselines is not None
    with torch.no_grad():
        here, there = (
            function(*(point.clone() for point in points)).gather(1, target[:, None])[:, 0]
            for points in (affine_map.leaves, affine_map.baselines)
        )
    terms = [
        (weight * (x - baseline)).detach().flatten(1)
        for weight, x, baseline in zip(
            affine_map.weight(target), affine_map.leaves, affine_map.baselines, strict=True
        )
    ]
    size, change = total([term.abs() for term in terms]), here - there
    error = (total(terms) - change).abs() / torch.maximum(change.abs(), size)
    return float(error.max()), float(change.abs().min())
