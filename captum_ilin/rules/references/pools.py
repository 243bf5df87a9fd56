"""Norms over windows between two points: (n · mean of z^p)^(1/p), over windows of n."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from captum_ilin.rule import Op

__all__ = ["RULES"]

RULES = RuleTable()


def _norms(op: Op, average: Op, dims: int) -> None:
    @RULES.decomposes(op)
    def pool(
        input: Tensor,
        norm_type: float,
        kernel_size: Any,
        stride: Any = None,
        ceil_mode: bool = False,
    ) -> Tensor:
        sides = kernel_size if isinstance(kernel_size, (tuple, list)) else [kernel_size] * dims
        means = average(torch.pow(input, norm_type), kernel_size, stride, 0, ceil_mode)
        return torch.pow(means * prod(sides), 1 / norm_type)


_norms(F.lp_pool1d, F.avg_pool1d, 1)
_norms(F.lp_pool2d, F.avg_pool2d, 2)
_norms(F.lp_pool3d, F.avg_pool3d, 3)
