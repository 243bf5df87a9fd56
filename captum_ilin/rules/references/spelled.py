"""Ops that say what they do in simpler ones, so that each has its rule between two points."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.activity import is_active
from captum_ilin.rules.attention import EXPLICIT
from captum_ilin.ruletable import RuleTable

__all__ = ["RULES"]

_OWN = RuleTable()


@_OWN.decomposes(F.relu)
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    return torch.relu_(input) if inplace else torch.relu(input)


@_OWN.decomposes(F.leaky_relu)
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    op = torch._C._nn.leaky_relu_ if inplace else torch._C._nn.leaky_relu
    return op(input, negative_slope)


@_OWN.decomposes(
    *(torch.div, Tensor.div, torch.divide, Tensor.divide),
    *(torch.true_divide, Tensor.true_divide, Tensor.__truediv__, Tensor.__div__),
)
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """a · (1/b)."""
    if rounding_mode is not None:
        return torch.div(input, other, rounding_mode=rounding_mode)
    if not is_active(other):
        return torch.mul(input, 1 / _as_precise(other, input))
    return torch.mul(torch.reciprocal(other), input)


def _as_precise(other: Any, input: Tensor) -> Any:
    """``other`` in the precision of the quotient, which 1/b of an integer would not have."""
    return other.to(torch.result_type(input, other)) if isinstance(other, Tensor) else other


@_OWN.decomposes(Tensor.__rdiv__)
def rdiv(input: Tensor, other: Any) -> Tensor:
    return torch.mul(torch.reciprocal(input), other)


RULES = EXPLICIT | _OWN
