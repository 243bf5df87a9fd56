"""Piecewise affine ops: the active piece, its selection held.

Their own derivative is the slope D of the piece, so they run as they are. Those that are
linear on every piece (relu, max pooling, sort) add no constant; the others (clamp, relu6)
add c = y0 − D z0.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.activity import copied
from captum_ilin.errors import TrainingModeWarning
from captum_ilin.holding import hold, is_taped
from captum_ilin.rule import Kind
from captum_ilin.rules.spellings import functions, spellings, writings
from captum_ilin.ruletable import RuleTable
from captum_ilin.tangent import piecewise, tangent
from captum_ilin.warning import warn

if TYPE_CHECKING:
    from captum_ilin.rule import Op

__all__ = ["RULES"]

RULES = RuleTable()
_nn = torch._C._nn

RULES.runs(
    Kind.LINEAR,
    *(torch.relu, Tensor.relu, F.relu, _nn.leaky_relu, F.leaky_relu),
    *(torch.prelu, Tensor.prelu),
    inplace=(torch.relu_, Tensor.relu_, _nn.leaky_relu_),
    rank=1,
    is_piecewise=True,
)
RULES.runs(
    Kind.LINEAR,
    *(F.max_pool1d, F.max_pool1d_with_indices, torch.max_pool1d),
    *(torch.max_pool1d_with_indices,),
    *(F.max_pool2d, F.max_pool2d_with_indices, torch.max_pool2d),
    *(F.max_pool3d, F.max_pool3d_with_indices, torch.max_pool3d),
    *(F.adaptive_max_pool1d, F.adaptive_max_pool1d_with_indices),
    *(torch.adaptive_max_pool1d,),
    *(F.adaptive_max_pool2d, F.adaptive_max_pool2d_with_indices, _nn.adaptive_max_pool2d),
    *(F.adaptive_max_pool3d, F.adaptive_max_pool3d_with_indices, _nn.adaptive_max_pool3d),
    *(F.fractional_max_pool2d, F.fractional_max_pool2d_with_indices),
    *(F.fractional_max_pool3d, F.fractional_max_pool3d_with_indices),
    *(torch.amax, Tensor.amax, torch.amin, Tensor.amin, torch.aminmax, Tensor.aminmax),
    *(torch.topk, Tensor.topk, torch.sort, Tensor.sort, torch.msort, Tensor.msort),
    *(torch.median, Tensor.median, torch.nanmedian, Tensor.nanmedian),
    *(torch.kthvalue, Tensor.kthvalue, torch.mode, Tensor.mode),
    *(torch.cummax, Tensor.cummax, torch.cummin, Tensor.cummin),
    *functions("functional", "max_unpool1d", "max_unpool2d", "max_unpool3d"),
    *spellings("frexp"),
    is_piecewise=True,
)


def _piecewise(
    op: Op, *aliases: Op, inplace: tuple[Op, ...] = (), rank: int | None = 1
) -> None:
    RULES.freezes(op, *aliases, rank=rank, is_tangent=True)(partial(piecewise, op))
    for op_ in inplace:
        register = RULES.writes(op_, plain=op, rank=rank, is_tangent=True)
        register(partial(_piecewise_write, op, op_))


def _piecewise_write(op: Op, op_: Op, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    if is_taped():
        return input.copy_(tangent(op, copied(input), *args, **kwargs))
    return op_(input, *args, **kwargs)


@RULES.freezes(
    *spellings("abs", "absolute"), inplace=writings("abs", "absolute"), is_tangent=True
)
def abs(input: Tensor) -> Tensor:
    """sign(z0) · z; of a complex z the tangent of its modulus, which has no intercept."""
    if input.is_complex():
        return tangent(torch.abs, input)
    return input * hold(torch.sign, input)


_piecewise(_nn.relu6, inplace=(_nn.relu6_,))
_piecewise(_nn.hardtanh, inplace=(_nn.hardtanh_,))


def _relu6_sixth(input: Tensor) -> Tensor:
    """hardsigmoid(z) = relu6(z + 3) / 6; PyTorch's own has no second derivative."""
    return F.relu6(input + 3).div(6)


RULES.freezes(_nn.hardsigmoid, inplace=(_nn.hardsigmoid_,), rank=2, is_tangent=True)(
    partial(piecewise, _relu6_sixth)
)
_piecewise(torch.threshold, inplace=(torch.threshold_,))
_piecewise(_nn.softshrink, rank=None)
_piecewise(torch.hardshrink, Tensor.hardshrink, rank=None)
_piecewise(
    torch.clamp,
    Tensor.clamp,
    torch.clip,
    Tensor.clip,
    inplace=(torch.clamp_, Tensor.clamp_, torch.clip_, Tensor.clip_),
    rank=None,
)
_piecewise(
    torch.clamp_min,
    Tensor.clamp_min,
    inplace=(torch.clamp_min_, Tensor.clamp_min_),
    rank=None,
)
_piecewise(
    torch.clamp_max,
    Tensor.clamp_max,
    inplace=(torch.clamp_max_, Tensor.clamp_max_),
    rank=None,
)
_piecewise(torch.maximum, Tensor.maximum, rank=None)
_piecewise(torch.minimum, Tensor.minimum, rank=None)
_piecewise(torch.fmax, Tensor.fmax, rank=None)
_piecewise(torch.fmin, Tensor.fmin, rank=None)
_piecewise(torch.max, Tensor.max, rank=None)
_piecewise(torch.min, Tensor.min, rank=None)
_piecewise(
    torch.remainder,
    Tensor.remainder,
    Tensor.__mod__,
    inplace=(Tensor.remainder_, Tensor.__imod__),
    rank=None,
)
_piecewise(torch.fmod, Tensor.fmod, inplace=(Tensor.fmod_,), rank=None)
_piecewise(torch.frac, Tensor.frac, inplace=(torch.frac_, Tensor.frac_), rank=None)
_piecewise(torch.nan_to_num, Tensor.nan_to_num, inplace=writings("nan_to_num"), rank=None)
_piecewise(torch.copysign, Tensor.copysign, inplace=writings("copysign"), rank=None)


@RULES.freezes(Tensor.__rmod__, is_tangent=True)
def rmod(self: Tensor, other: Any) -> Tensor:
    return tangent(torch.remainder, torch.full_like(self.detach(), other), self)


for _op in spellings("quantile", "nanquantile"):
    # Affine in the values, between the two that are selected.
    RULES.freezes(_op, affine_in_first=True, is_tangent=True)(partial(tangent, _op))


def _reduction(op: Op, *ops: Op, inplace: tuple[Op, ...]) -> None:
    """Register a scatter whose ``reduce`` sums, averages, selects or multiplies."""

    @RULES.freezes(op, *ops, inplace=inplace, is_tangent=True)
    def rule(
        input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, **options: Any
    ) -> Tensor:
        run = tangent if reduce == "prod" else piecewise
        return run(op, input, dim, index, src, reduce, **options)


_reduction(*spellings("scatter_reduce"), inplace=writings("scatter_reduce"))
_reduction(*spellings("index_reduce"), inplace=writings("index_reduce"))


@RULES.freezes(torch.scatter, Tensor.scatter, inplace=(Tensor.scatter_,), is_tangent=True)
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Tensor:
    """Values moved; with ``reduce``, which PyTorch has no gradient of, added or multiplied."""
    source = value if src is None else src
    if reduce is None:
        return torch.scatter(input, dim, index, source)
    if not isinstance(source, Tensor):
        source = torch.full(index.shape, source, dtype=input.dtype, device=input.device)
    if reduce == "add":
        return torch.scatter_add(input, dim, index, source)
    return tangent(torch.scatter_reduce, input, dim, index, source, "prod")


# torch.nn.functional's spellings choose between an op and its in-place form.


@RULES.decomposes(F.relu6)
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    return _nn.relu6_(input) if inplace else _nn.relu6(input)


@RULES.decomposes(F.hardtanh)
def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    op = _nn.hardtanh_ if inplace else _nn.hardtanh
    return op(input, min_val, max_val)


@RULES.decomposes(F.hardsigmoid)
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    return _nn.hardsigmoid_(input) if inplace else _nn.hardsigmoid(input)


@RULES.decomposes(F.threshold)
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    op = torch.threshold_ if inplace else torch.threshold
    return op(input, threshold, value)


@RULES.decomposes(F.rrelu)
def rrelu(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    if training:
        warn(TrainingModeWarning, "rrelu ran in training mode: its slopes are drawn by chance.")
        draw = torch.rrelu_ if inplace else torch.rrelu
        return draw(input, lower, upper, True)
    return F.leaky_relu(input, (lower + upper) / 2, inplace)


RULES.runs(Kind.LINEAR, torch.rrelu, inplace=(torch.rrelu_,), is_piecewise=True)
