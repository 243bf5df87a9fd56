"""The attribution methods, each with what it claims its attributions add up to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from captum.attr import DeepLift, InputXGradient, IntegratedGradients, Saliency
from torch import Tensor, nn

from captum_ilin import InstanceWiseLinearization

__all__ = ["METHODS", "Method"]

Attribute = Callable[[Tensor, int, Tensor], Tensor]


@dataclass(frozen=True)
class Method:
    """One attribution method.

    Attributes:
        name: its name in tables.
        make: model → function of (inputs, target, baseline) giving attributions.
        uses_baseline: whether the attributions depend on the baseline.
        offset: (model, inputs, target, baseline) → what, added to the attributions, is
            claimed to give F(x); None if nothing is claimed.
    """

    name: str
    make: Callable[[nn.Module], Attribute]
    uses_baseline: bool
    offset: Callable[[nn.Module, Tensor, int, Tensor], Tensor] | None


def _ilin(model: nn.Module) -> Attribute:
    method: Any = InstanceWiseLinearization(model)
    return lambda inputs, target, _: method.attribute(inputs, target=target)


def _integrated_gradients(model: nn.Module) -> Attribute:
    method: Any = IntegratedGradients(model)

    def attribute(inputs: Tensor, target: int, baseline: Tensor) -> Tensor:
        attributions: Tensor = method.attribute(
            inputs, baseline, target=target, n_steps=50, internal_batch_size=10
        )
        return attributions

    return attribute


def _saliency(model: nn.Module) -> Attribute:
    method: Any = Saliency(model)
    return lambda inputs, target, _: method.attribute(_fresh(inputs), target=target)


def _deep_lift(model: nn.Module) -> Attribute:
    method: Any = DeepLift(model)

    def attribute(inputs: Tensor, target: int, baseline: Tensor) -> Tensor:
        attributions: Tensor = method.attribute(_fresh(inputs), baseline, target=target)
        return attributions.detach()

    return attribute


def _input_x_gradient(model: nn.Module) -> Attribute:
    method: Any = InputXGradient(model)
    return lambda inputs, target, _: method.attribute(_fresh(inputs), target=target).detach()


def _fresh(inputs: Tensor) -> Tensor:
    """A leaf of their own: Captum's gradient methods leave requires_grad on."""
    return inputs.detach().clone().requires_grad_()


def _bias(model: nn.Module, inputs: Tensor, target: int, _: Tensor) -> Tensor:
    """b from the ledger; independent of the attributions and of F."""
    method: Any = InstanceWiseLinearization(model)
    _, bias = method.attribute(inputs, target=target, return_bias=True)
    found: Tensor = bias
    return found


def _value_at_baseline(model: nn.Module, _: Tensor, target: int, baseline: Tensor) -> Tensor:
    with torch.no_grad():
        value: Tensor = model(baseline)[:, target]
    return value


def _nothing(_: nn.Module, inputs: Tensor, target: int, baseline: Tensor) -> Tensor:
    return inputs.new_zeros(len(inputs))


METHODS = {
    method.name: method
    for method in (
        Method("ILIN", _ilin, False, _bias),
        Method("InputXGradient", _input_x_gradient, False, _nothing),
        Method("IntegratedGradients", _integrated_gradients, True, _value_at_baseline),
        Method("DeepLIFT", _deep_lift, True, _value_at_baseline),
        Method("Saliency", _saliency, False, None),
    )
}
