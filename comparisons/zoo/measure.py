"""The measured exactness of one architecture: a line of the table, and the test's figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from captum_ilin import DEFAULT_RULES, in_double, linearize

if TYPE_CHECKING:
    from torch import Tensor

    from captum_ilin import AffineMap, RuleTable
    from comparisons.zoo.architecture import Architecture

__all__ = ["Exactness", "measure", "total"]


@dataclass(frozen=True)
class Exactness:
    """What is measured of one architecture. Every error is relative.

    Attributes:
        name, library: which one.
        ops: how many calls of ops had an active argument.
        value_error: largest |G(x0) − F(x0)|, float64.
        affinity_error: how much W changes along the input, float64.
        completeness_error: |<W, x0> + b − F| of all outputs combined, float64, relative to
            the largest of |F|, Σ|W∘x0| and Σ|ledger|, as the certificate has it.
        output_error: the same of the predicted class, relative to |F| alone.
        product_error: |<W, x0> − F| / |F| of the predicted class: 0 without biases.
        single_error: the larger of value and completeness error in float32.
        bias_share: |b| / |F| of the predicted class of the first example.
        input_share: Σ|W∘x0| / |F| of the same.
        size: the smallest |F| of a predicted class.
        spread: the smallest standard deviation of an example's outputs.
        unregistered: how many calls of ops were frozen at their tangent for want of a rule.
    """

    name: str
    library: str
    ops: int
    value_error: float
    affinity_error: float
    completeness_error: float
    output_error: float
    product_error: float
    single_error: float
    bias_share: float
    input_share: float
    size: float
    spread: float
    unregistered: int


def measure(architecture: Architecture, rules: RuleTable = DEFAULT_RULES) -> Exactness:
    """The map in float32, and in float64 throughout, and what their certificates say."""
    network = architecture.network()
    forward, inputs = architecture.forward(network), architecture.inputs(2)
    single = linearize(forward, inputs, rules=rules, strict=True).certificate()
    network.double()
    inputs = tuple(values.double() for values in inputs)
    double = linearize(in_double(forward), inputs, rules=rules, strict=True)
    certificate = double.certificate()
    return Exactness(
        name=architecture.name,
        library=architecture.library,
        ops=double.freezing.order,
        value_error=certificate.value_error,
        affinity_error=certificate.affinity_error,
        completeness_error=certificate.completeness_error,
        single_error=max(single.value_error, single.completeness_error),
        spread=float(double.outputs.std(1).min()),
        unregistered=sum(certificate.unregistered.values()),
        **_of_prediction(double),
    )


def _of_prediction(affine_map: AffineMap) -> dict[str, float]:
    """What is measured of each example's largest output."""
    target = affine_map.outputs.argmax(1)
    value = affine_map.outputs.amax(1)
    bias = affine_map.bias(target)
    attributions = [
        (weight * x).detach().flatten(1)
        for weight, x in zip(affine_map.weight(target), affine_map.leaves, strict=True)
    ]
    explained, magnitude = total(attributions), total([a.abs() for a in attributions])
    return {
        "output_error": float(((explained + bias - value) / value).abs().max()),
        "product_error": float(((explained - value) / value).abs().max()),
        "bias_share": float((bias / value).abs()[0]),
        "input_share": float((magnitude / value).abs()[0]),
        "size": float(value.abs().min()),
    }


def total(terms: list[Tensor]) -> Tensor:
    """Σ over all inputs, for each example."""
    return torch.stack([term.sum(1) for term in terms]).sum(0)
