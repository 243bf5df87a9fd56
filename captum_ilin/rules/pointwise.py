"""Pointwise functions.

φ(0) = 0:  secant through the origin, D = φ(z0)/z0 (φ'(0) at 0), c = 0.
φ(0) ≠ 0:  tangent, D = φ'(z0), c = φ(z0) − φ'(z0)·z0.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.holding import hold
from captum_ilin.rules.primitives import quotient, secant
from captum_ilin.rules.spellings import functions
from captum_ilin.ruletable import RuleTable
from captum_ilin.tangent import tangent

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.rule import Op

__all__ = ["RULES"]

RULES = RuleTable()
_nn = torch._C._nn
_GATES_BY_ELEMENT = (  # what hand-written activations are made of, beside the secants
    *(torch.sigmoid, torch.exp, torch.exp2, torch.rsqrt, torch.reciprocal, torch.sqrt),
    *(torch.log, _nn.softplus, _nn.log_sigmoid),
)


def _secant(gate: Callable[..., Tensor], *ops: Op, inplace: tuple[Op, ...] = ()) -> None:
    """Register ops φ(z) = gate(z) · z."""

    @RULES.freezes(*ops, rank=1, is_elementwise=True)
    def rule(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return input * hold(gate, input, *args, **kwargs)

    _writes_secant(gate, *inplace, plain=ops[0])


def _writes_secant(gate: Callable[..., Tensor], *inplace: Op, plain: Op) -> None:
    """Register forms of ``plain`` that leave gate(z) · z in the place of z."""

    @RULES.writes(*inplace, plain=plain, rank=1)
    def rule_(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return input.mul_(hold(gate, input, *args, **kwargs))


def _quotient(op: Op, *aliases: Op, at_zero: float, inplace: tuple[Op, ...] = ()) -> None:
    """Register op and its aliases with the secant whose slope is the quotient φ(z)/z."""
    RULES.freezes(op, *aliases, rank=1, is_elementwise=True)(
        partial(secant, op, at_zero=at_zero)
    )
    _writes_secant(partial(quotient, op, at_zero=at_zero), *inplace, plain=op)


def _tangent(
    op: Op,
    *aliases: Op,
    inplace: tuple[Op, ...] = (),
    rank: int = 1,
    scale_rank: int | None = 0,
) -> None:
    """Register op and its aliases with their first-order Taylor expansion."""
    register = RULES.freezes(
        op,
        *aliases,
        inplace=inplace,
        rank=rank,
        scale_rank=scale_rank,
        is_tangent=True,
        is_elementwise=op in _GATES_BY_ELEMENT,
    )
    register(partial(tangent, op))


def _softplus_gate(input: Tensor) -> Tensor:
    return torch.tanh(F.softplus(input))


# Gates with a closed form.
_secant(torch.sigmoid, _nn.silu, inplace=(_nn.silu_,))
_secant(F.hardsigmoid, _nn.hardswish, inplace=(_nn.hardswish_,))
_secant(_softplus_gate, _nn.mish, inplace=(_nn.mish_,))


def _softsign_gate(input: Tensor) -> Tensor:
    return input.abs().add_(1).reciprocal_()


_secant(_softsign_gate, F.softsign)


def _quotients(slopes: dict[Op, tuple[float, tuple[Op, ...], tuple[Op, ...]]]) -> None:
    for op, (at_zero, aliases, inplace) in slopes.items():
        _quotient(op, *aliases, at_zero=at_zero, inplace=inplace)


_quotient(_nn.gelu, at_zero=0.5, inplace=functions("_nn", "gelu_"))
# The others: op: (slope at zero, aliases, in-place forms).
_quotients(
    {
        torch.tanh: (1.0, (Tensor.tanh, F.tanh), (torch.tanh_, Tensor.tanh_)),
        torch.sin: (1.0, (Tensor.sin,), (torch.sin_, Tensor.sin_)),
        torch.tan: (1.0, (Tensor.tan,), (torch.tan_, Tensor.tan_)),
        torch.asin: (
            1.0,
            (Tensor.asin, torch.arcsin, Tensor.arcsin),
            (torch.asin_, Tensor.asin_, torch.arcsin_, Tensor.arcsin_),
        ),
        torch.atan: (
            1.0,
            (Tensor.atan, torch.arctan, Tensor.arctan),
            (torch.atan_, Tensor.atan_, torch.arctan_, Tensor.arctan_),
        ),
        torch.sinh: (1.0, (Tensor.sinh,), (torch.sinh_, Tensor.sinh_)),
        torch.asinh: (
            1.0,
            (Tensor.asinh, torch.arcsinh, Tensor.arcsinh),
            (torch.asinh_, Tensor.asinh_, torch.arcsinh_, Tensor.arcsinh_),
        ),
        torch.atanh: (
            1.0,
            (Tensor.atanh, torch.arctanh, Tensor.arctanh),
            (torch.atanh_, Tensor.atanh_, torch.arctanh_, Tensor.arctanh_),
        ),
        torch.erf: (
            2 / torch.pi**0.5,
            (Tensor.erf, torch.special.erf),
            (torch.erf_, Tensor.erf_),
        ),
        torch.expm1: (
            1.0,
            (Tensor.expm1, torch.special.expm1),
            (torch.expm1_, Tensor.expm1_),
        ),
        torch.log1p: (
            1.0,
            (Tensor.log1p, torch.special.log1p),
            (torch.log1p_, Tensor.log1p_),
        ),
        torch.selu: (1.0507009873554805 * 1.6732632423543772, (), (torch.selu_,)),
        F.tanhshrink: (0.0, (), ()),
    }
)


def _elu_gate(input: Tensor, alpha: float = 1.0, *rest: float) -> Tensor:
    """elu(z)/z; PyTorch's own slope at 0 is alpha (with scale and input_scale, if given)."""
    scale = 1.0
    for factor in rest:
        scale *= factor
    return quotient(_nn.elu, input, alpha, *rest, at_zero=alpha * scale)


def _celu_gate(input: Tensor, alpha: float = 1.0) -> Tensor:
    return quotient(torch.celu, input, alpha, at_zero=1.0)


_secant(_elu_gate, _nn.elu, inplace=(_nn.elu_,))
_secant(_celu_gate, torch.celu, inplace=(torch.celu_,))


# Outputs that act as gates: tangent when they are the value.
_tangent(
    torch.sigmoid,
    Tensor.sigmoid,
    torch.special.expit,
    F.sigmoid,
    inplace=(torch.sigmoid_, Tensor.sigmoid_),
    rank=2,
)
_tangent(torch.exp, Tensor.exp, inplace=(torch.exp_, Tensor.exp_), rank=2)
_tangent(
    torch.exp2,
    Tensor.exp2,
    torch.special.exp2,
    inplace=(torch.exp2_, Tensor.exp2_),
    rank=2,
)
_tangent(torch.softmax, Tensor.softmax, torch.special.softmax, rank=2)
_tangent(F.softmax, rank=2)
_tangent(F.softmin, rank=2)
_tangent(
    torch.rsqrt,
    Tensor.rsqrt,
    inplace=(torch.rsqrt_, Tensor.rsqrt_),
    rank=2,
    scale_rank=2,
)
_tangent(
    torch.reciprocal,
    Tensor.reciprocal,
    inplace=(torch.reciprocal_, Tensor.reciprocal_),
    rank=2,
    scale_rank=None,
)
_tangent(torch.var, Tensor.var, rank=2, scale_rank=2)
_tangent(torch.std, Tensor.std, rank=2, scale_rank=2)
_tangent(torch.var_mean, rank=2, scale_rank=2)
_tangent(torch.std_mean, rank=2, scale_rank=2)
_tangent(torch.norm, rank=2, scale_rank=2)
_tangent(Tensor.norm, rank=2, scale_rank=2)
_tangent(torch.linalg.norm, rank=2, scale_rank=2)
_tangent(torch.linalg.vector_norm, rank=2, scale_rank=2)
_tangent(torch.linalg.matrix_norm, rank=2, scale_rank=2)


@RULES.freezes(torch.cdist, rank=2, is_tangent=True)
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """Its definition, ‖x1_i − x2_j‖_p: PyTorch's own has no second derivative."""
    return tangent(_distances, x1, x2, p)


def _distances(x1: Tensor, x2: Tensor, p: float) -> Tensor:
    return torch.linalg.vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, dim=-1)


# Other values with φ(0) ≠ 0, or without a slope at 0.
_tangent(torch.log_softmax, Tensor.log_softmax, torch.special.log_softmax)
_tangent(F.log_softmax)
_tangent(torch.logsumexp, Tensor.logsumexp, torch.special.logsumexp)
_tangent(_nn.log_sigmoid)
_tangent(_nn.softplus)
_tangent(torch.cos, Tensor.cos, inplace=(torch.cos_, Tensor.cos_))
_tangent(
    torch.acos,
    Tensor.acos,
    torch.arccos,
    Tensor.arccos,
    inplace=(torch.acos_, Tensor.acos_, torch.arccos_, Tensor.arccos_),
)
_tangent(torch.cosh, Tensor.cosh, inplace=(torch.cosh_, Tensor.cosh_))
_tangent(torch.log, Tensor.log, inplace=(torch.log_, Tensor.log_))
_tangent(torch.log2, Tensor.log2, inplace=(torch.log2_, Tensor.log2_))
_tangent(torch.log10, Tensor.log10, inplace=(torch.log10_, Tensor.log10_))
_tangent(torch.sqrt, Tensor.sqrt, inplace=(torch.sqrt_, Tensor.sqrt_), scale_rank=2)
_tangent(torch.logaddexp, Tensor.logaddexp)
_tangent(torch.hypot, Tensor.hypot, inplace=(Tensor.hypot_,))
_tangent(torch.logit, Tensor.logit, torch.special.logit, inplace=(torch.logit_, Tensor.logit_))
_tangent(
    torch.atan2,
    Tensor.atan2,
    torch.arctan2,
    Tensor.arctan2,
    inplace=(Tensor.atan2_, Tensor.arctan2_),
)
_tangent(F.pairwise_distance)

# torch.nn.functional's spellings choose between an op and its in-place form.


@RULES.decomposes(F.silu)
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    return _nn.silu_(input) if inplace else _nn.silu(input)


@RULES.decomposes(F.hardswish)
def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    return _nn.hardswish_(input) if inplace else _nn.hardswish(input)


@RULES.decomposes(F.mish)
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    return _nn.mish_(input) if inplace else _nn.mish(input)


@RULES.decomposes(F.elu)
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    return _nn.elu_(input, alpha) if inplace else _nn.elu(input, alpha)


@RULES.decomposes(F.celu)
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    return torch.celu_(input, alpha) if inplace else torch.celu(input, alpha)


@RULES.decomposes(F.selu)
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    return torch.selu_(input) if inplace else torch.selu(input)
