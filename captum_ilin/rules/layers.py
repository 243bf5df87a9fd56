"""Linear layers: linear in their input, and bilinear where the weight is active too."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from captum_ilin.activity import is_active
from captum_ilin.holding import hold
from captum_ilin.rules.primitives import product
from captum_ilin.ruletable import RuleTable

__all__ = ["RULES", "is_active_factor"]

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
