"""Products with W, beside one forward and backward pass of the network as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from captum_ilin import linearize
from comparisons.timing.mapping.timed import timed_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

__all__ = ["PRODUCTS", "calls"]

OUTPUT = 3
PLAIN = "forward + backward"


def calls(model: nn.Module, x: Tensor) -> dict[str, Callable[[], Any]]:
    """What is timed; the map and the operator are made before."""
    affine_map = linearize(model, x)
    W = affine_map.operator()
    u, v = torch.randn_like(affine_map.outputs), torch.randn_like(x)
    return {
        PLAIN: lambda: _gradient(model, x),
        "linearize": lambda: linearize(model, x),
        "u @ W": lambda: u @ W,
        "W @ v, the first": lambda: affine_map.operator() @ v,
        "W @ v": lambda: W @ v,
    }


def _gradient(model: nn.Module, x: Tensor) -> Tensor:
    """Saliency's: of one output, with respect to the input."""
    leaf = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(model(leaf)[:, OUTPUT].sum(), leaf)
    return slope


_TEXT = (
    f"{PLAIN}: of the network as it is, the gradient of one output with respect to the "
    "input, which is Saliency's. linearize: the forward pass that makes the map; what "
    "follows it is without it. u @ W: a combination of all outputs. W @ v: what a change "
    "of the input does to all outputs; the first records a backward pass, the others "
    "pass through the record."
)
PRODUCTS = timed_part(
    "Products", _TEXT, calls, (PLAIN, "linearize", "u @ W", "W @ v, the first", "W @ v")
)
