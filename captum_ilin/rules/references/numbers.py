"""Powers, complex numbers and quotients written in place, between two points."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from captum_ilin.rules.between import stepped
from captum_ilin.rules.rescale import piecewise_rescaling, rescaled
from captum_ilin.rules.spellings import spellings, writings
from captum_ilin.ruletable import RuleTable

__all__ = ["RULES"]

RULES = RuleTable()
_types: Any = torch.return_types  # not all of them are typed


@RULES.decomposes(*spellings("float_power"))
def float_power(input: Any, exponent: Any) -> Tensor:
    """The power in double precision."""
    return torch.pow(_double(input), _double(exponent))


def _double(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.to(torch.cdouble if value.is_complex() else torch.double)


@RULES.freezes(*spellings("abs", "absolute"), inplace=writings("abs", "absolute"))
def abs(input: Tensor) -> Tensor:
    """Of a complex z Δ|z| = Re(conj(z + z') Δz) / (|z| + |z'|)."""
    if not input.is_complex():
        return rescaled(torch.abs, input, chord=piecewise_rescaling)

    def move(steps: tuple[Tensor], here: Any, there: Any) -> Tensor:
        (step,), ((z,), size), ((other,), size_there) = steps, here, there
        both = size + size_there
        return ((z + other).conj() * step).real / both.masked_fill(both == 0, 1.0)

    return stepped(torch.abs, move, input)


@RULES.decomposes(*spellings("angle"))
def angle(input: Tensor) -> Tensor:
    if input.is_complex():
        return torch.atan2(input.imag, input.real)
    return torch.atan2(torch.zeros_like(input), input)


@RULES.freezes(*spellings("frexp"))
def frexp(input: Tensor) -> Any:
    """The mantissa, a function of each element, and the exponent, an integer."""
    exponent = torch.frexp(input.detach()).exponent
    return _types.frexp((rescaled(_mantissa, input), exponent))


def _mantissa(input: Tensor) -> Tensor:
    return torch.frexp(input).mantissa


@RULES.decomposes(Tensor.div_, Tensor.divide_, Tensor.true_divide_, Tensor.__itruediv__)
def div_(input: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    return input.copy_(torch.div(input, other, rounding_mode=rounding_mode))


@RULES.decomposes(torch.addcdiv, Tensor.addcdiv)
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    return torch.add(input, torch.div(tensor1, tensor2), alpha=value)


@RULES.decomposes(*writings("addcdiv"))
def addcdiv_(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    return input.add_(torch.div(tensor1, tensor2), alpha=value)


@RULES.decomposes(torch.prelu, Tensor.prelu)
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """relu(z) − w · relu(−z), w of each channel."""
    if weight.numel() > 1 and input.dim() > 1:
        weight = weight.reshape(-1, *[1] * (input.dim() - 2))
    return torch.relu(input) - torch.relu(-input) * weight
