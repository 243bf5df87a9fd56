"""Powers: the secant of a constant power of at least one, the tangent of any other.

z^p = z0^(p−1) · z  for p ≥ 1; roots, negative powers and 2^z are activations and gates.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from captum_ilin.activity import is_active
from captum_ilin.holding import hold
from captum_ilin.ruletable import RuleTable
from captum_ilin.tangent import tangent

__all__ = ["RULES"]

RULES = RuleTable()


@RULES.freezes(
    *(torch.square, Tensor.square),
    inplace=(torch.square_, Tensor.square_),
    is_elementwise=True,
)
def square(input: Tensor) -> Tensor:
    """z² = z0 · z: the even split of z · z, and the secant."""
    return input * hold(input)


def _rank_of_power(input: Any, exponent: Any) -> int | None:
    """2 for negative powers and for 2^z, 1 for roots, – for the others."""
    if not isinstance(exponent, (int, float)):
        return None if is_active(input) else 2
    if 0 < exponent < 1:
        return 1
    return 2 if exponent < 0 else None


def _scale_rank_of_power(input: Any, exponent: Any) -> int | None:
    """2 for roots and their reciprocals, 0 for 2^z, – for the others."""
    if not isinstance(exponent, (int, float)):
        return None if is_active(input) else 0
    return 2 if exponent < 1 and exponent % 1 else None


@RULES.freezes(
    *(torch.pow, Tensor.pow, Tensor.__pow__, torch.float_power, Tensor.float_power),
    inplace=(Tensor.pow_, Tensor.__ipow__, Tensor.float_power_),
    rank=_rank_of_power,
    scale_rank=_scale_rank_of_power,
    is_elementwise=True,
)
def pow(input: Any, exponent: Any) -> Tensor:
    """A constant power of at least one: secant z^(p−1) · z. Any other: tangent."""
    if hold(lambda: _is_secant_power(input, exponent)):
        return input * hold(torch.pow, input, exponent - 1)
    return tangent(torch.pow, input, exponent)


def _is_secant_power(input: Any, exponent: Any) -> bool:
    return isinstance(exponent, (int, float)) and exponent >= 1 and isinstance(input, Tensor)


@RULES.freezes(Tensor.__rpow__, rank=2, is_elementwise=True)
def rpow(input: Tensor, other: Any) -> Tensor:
    """other ** input: tangent."""
    return tangent(torch.pow, other, input)
