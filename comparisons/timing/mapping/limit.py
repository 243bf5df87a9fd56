"""The arithmetic limit of all rows of W: what the multiplications alone would take.

Every row is a backward pass with respect to the input, f operations, and the machine
multiplies matrices at r operations a second: o rows take no less than o f / r. Where the last
layer is linear with o outputs of d features, the rows of the d features suffice, and one
product with its weight, (o, d) by (d, n), for n numbers in the input: (d f + 2 o d n) / r.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["head_features", "limit", "matmul_rate", "passes", "waist_limit"]


def limit(outputs: int, flops: int, rate: float) -> float:
    """Seconds of so many backward passes."""
    return outputs * flops / rate


def waist_limit(outputs: int, features: int, inputs: int, flops: int, rate: float) -> float:
    """Seconds of the rows of ``features``, and of the outputs' from them."""
    return limit(features, flops, rate) + 2 * outputs * features * inputs / rate


def matmul_rate(size: int = 2048, tries: int = 7) -> float:
    """Operations a second of the fastest of some float32 products of square matrices."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    best = float("inf")
    for _ in range(tries):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def passes(model: nn.Module, x: Tensor) -> int:
    """Operations of the network's backward pass from one output to its input alone.

    Attention is written out: the fused kernel's own are not known to the counter.
    """
    leaf = x.detach().requires_grad_()
    with sdpa_kernel(SDPBackend.MATH):
        output = model(leaf)[:, 0].sum()
        return counted(lambda: torch.autograd.grad(output, leaf))


def counted(call: Callable[[], Any]) -> int:
    """Operations of the matrix products and convolutions in a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def head_features(model: nn.Module, outputs: int) -> int | None:
    """How many features the last linear layer has, if it gives the outputs."""
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not linear or linear[-1].out_features != outputs:
        return None
    return linear[-1].in_features
