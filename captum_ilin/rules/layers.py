"""Layers with weights: linear in their input, and bilinear where the weight is active too."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.activity import is_active
from captum_ilin.holding import hold
from captum_ilin.rules.primitives import product
from captum_ilin.ruletable import RuleTable

__all__ = ["RULES"]

RULES = RuleTable()


@RULES.freezes(F.bilinear, mixes=True, affine_in_first=True)
def bilinear(
    input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    def plain(input1: Tensor, input2: Tensor, weight: Tensor) -> Tensor:
        return F.bilinear(input1, input2, weight)

    result = product(plain, input1, input2, weight)
    return result if bias is None else result + bias


@RULES.freezes(F.linear, mixes=True, affine_in_first=True)
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if is_active_factor(weight):
        result = product(F.linear, input, weight)
        return result if bias is None else result + bias
    return F.linear(input, weight, bias)


def is_active_factor(weight: Any) -> bool:
    """Whether a weight is active; the answer is kept for replay."""
    active: bool = hold(lambda: is_active(weight))
    return active


def _convolution(op: Any, dims: int) -> None:
    @RULES.freezes(op, mixes=True, affine_in_first=True)
    def rule(
        input: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        if not is_active_factor(weight):
            return op(input, weight, bias, *args, **kwargs)
        result = product(lambda i, w: op(i, w, None, *args, **kwargs), input, weight)
        return result if bias is None else result + bias.view(-1, *([1] * dims))


for _dims, _ops in enumerate(
    (
        (F.conv1d, F.conv_transpose1d),
        (F.conv2d, F.conv_transpose2d),
        (F.conv3d, F.conv_transpose3d),
    ),
    start=1,
):
    for _op in _ops:
        _convolution(_op, _dims)


@RULES.freezes(torch.conv_tbc, affine_in_first=True, mixes=True)
def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    none = torch.zeros_like(bias)
    return product(lambda i, w: torch.conv_tbc(i, w, none, pad), input, weight) + bias


@RULES.freezes(torch.convolution, affine_in_first=True, mixes=True)
def convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None, *geometry: Any, **named: Any
) -> Tensor:
    def plain(input: Tensor, weight: Tensor) -> Tensor:
        return torch.convolution(input, weight, None, *geometry, **named)

    result = product(plain, input, weight)
    return result if bias is None else result + bias.view(-1, *([1] * (input.dim() - 2)))
