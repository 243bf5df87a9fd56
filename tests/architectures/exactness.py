"""What every small network of this folder is held to.

The laws of a map under both tables, the value to 1e-12, and the weight under TANGENT_RULES
against the plain network's own Jacobian, which shares nothing with the rules. A network that
is piecewise affine has one map only, so there the default weight is the Jacobian too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin import (
    DEFAULT_RULES,
    TANGENT_RULES,
    AffineMap,
    RuleTable,
    check_affine_map,
    frozen,
    linearize,
)
from captum_ilin.probe import fixed_random_like

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["assert_exact", "assert_jacobian", "check_network", "one_row"]

VALUE_ERROR = 1e-12
TOLERANCE = 1e-11  # about 4e4 units of float64's rounding, as the laws allow


def check_network(
    forward: Callable[[Tensor], Tensor], x: Tensor, *, piecewise: bool = False
) -> AffineMap:
    """Hold ``forward`` to everything above; its map under the default rules."""
    affine_map = assert_exact(forward, x)
    few = projected(forward)
    few_map = linearize(few, x, strict=True)
    assert_jacobian(assert_exact(few, x, TANGENT_RULES))
    if piecewise:
        assert_jacobian(few_map)
    assert_same_unrecorded(few_map)
    return affine_map


def assert_same_unrecorded(affine_map: AffineMap) -> None:
    """Freezing without a ledger, as attributions do, takes other paths to the same weight."""
    weight, leaf = affine_map.weight(), affine_map.leaves[0].detach().requires_grad_()
    assert isinstance(weight, Tensor)
    rules = affine_map.freezing.rules
    outputs = frozen(affine_map.forward_func, rules=rules, strict=True)(leaf)
    difference = (outputs.detach() - affine_map.outputs).abs().max()  # LAPACK may round anew
    assert difference <= VALUE_ERROR * max(1.0, float(affine_map.outputs.abs().max()))
    for number in range(outputs.shape[1]):
        (slope,) = torch.autograd.grad(outputs[:, number].sum(), leaf, retain_graph=True)
        scale = max(1.0, float(slope.abs().max()))
        assert (slope - weight[:, number]).abs().max() <= TOLERANCE * scale


def projected(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Three random combinations of the outputs, which every output's slope reaches."""

    def combined(x: Tensor) -> Tensor:
        outputs = forward(x).flatten(1)
        return outputs @ fixed_random_like(outputs.new_empty(outputs.shape[1], 3))

    return combined


def assert_exact(
    forward: Callable[[Tensor], Tensor], x: Tensor, rules: RuleTable = DEFAULT_RULES
) -> AffineMap:
    """Every op has a rule, every law holds, and the value is the plain one."""
    affine_map = linearize(forward, x, rules=rules, strict=True)
    assert check_affine_map(affine_map).value_error <= VALUE_ERROR
    return affine_map


def assert_jacobian(affine_map: AffineMap) -> None:
    """W is the plain network's Jacobian, row by row."""
    weight = affine_map.weight()
    assert isinstance(weight, Tensor)
    forward, x = affine_map.forward_func, affine_map.leaves[0].detach()
    for row, point in zip(weight, x, strict=True):
        slope = torch.autograd.functional.jacobian(
            lambda leaf: forward(leaf.clone().unsqueeze(0))[0], point
        )
        error = (row.reshape(slope.shape) - slope).abs().max()
        assert error <= TOLERANCE * max(1.0, float(slope.abs().max()))


def one_row(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function of one whole tensor as a network of one row, for ops that mix rows."""

    def forward(x: Tensor) -> Tensor:
        return function(x[0]).unsqueeze(0)

    forward.__name__ = getattr(function, "__name__", "function")
    return forward
