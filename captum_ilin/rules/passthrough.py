"""Ops that are affine by themselves: run as they are.

LINEAR    moves, sums or copies values: no constant.
AFFINE    may add a constant, through an argument that is not active.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from captum_ilin.activity import is_active
from captum_ilin.errors import TrainingModeWarning
from captum_ilin.holding import hold
from captum_ilin.rule import Kind
from captum_ilin.rules.spellings import functions, spellings, writings
from captum_ilin.ruletable import RuleTable
from captum_ilin.tangent import tangent
from captum_ilin.warning import warn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RULES"]

RULES = RuleTable()

RULES.runs(
    Kind.LINEAR,
    # shape
    *(torch.reshape, Tensor.reshape, Tensor.reshape_as, Tensor.view, Tensor.view_as),
    *(torch.flatten, Tensor.flatten, torch.unflatten, Tensor.unflatten, torch.ravel),
    *(Tensor.ravel, torch.squeeze, Tensor.squeeze, torch.unsqueeze, Tensor.unsqueeze),
    *(torch.transpose, Tensor.transpose, torch.swapaxes, Tensor.swapaxes),
    *(torch.swapdims, Tensor.swapdims, torch.t, Tensor.t, torch.permute, Tensor.permute),
    *(torch.movedim, Tensor.movedim, torch.moveaxis, Tensor.moveaxis, torch.adjoint),
    *(Tensor.adjoint, Tensor.expand, Tensor.expand_as, torch.broadcast_to),
    *(Tensor.broadcast_to, torch.broadcast_tensors, torch.atleast_1d, torch.atleast_2d),
    *(torch.atleast_3d, Tensor.contiguous, torch.as_strided, Tensor.as_strided),
    *(Tensor.unfold, torch.conj, Tensor.conj),
    # parts
    *(Tensor.__getitem__, torch.narrow, Tensor.narrow, torch.select, Tensor.select),
    *(torch.split, Tensor.split, torch.chunk, Tensor.chunk, torch.unbind, Tensor.unbind),
    *(torch.tensor_split, Tensor.tensor_split, torch.hsplit, Tensor.hsplit),
    *(torch.vsplit, Tensor.vsplit, torch.dsplit, Tensor.dsplit),
    *(torch.split_with_sizes, Tensor.split_with_sizes),
    *(torch.index_select, Tensor.index_select, torch.gather, Tensor.gather),
    *(torch.take, Tensor.take, torch.take_along_dim, Tensor.take_along_dim),
    *(torch.masked_select, Tensor.masked_select, torch.diagonal, Tensor.diagonal),
    *(torch.diag, Tensor.diag, torch.diag_embed, Tensor.diag_embed, torch.triu),
    *(Tensor.triu, torch.tril, Tensor.tril, F.embedding),
    *spellings("as_tensor"),
    *spellings("unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes", "diagflat"),
    *spellings("combinations", "fliplr", "flipud", "alias_copy", "as_strided_copy"),
    *spellings("diagonal_copy", "expand_copy", "narrow_copy", "permute_copy"),
    *spellings("select_copy", "slice_copy", "split_copy", "split_with_sizes_copy"),
    *spellings("squeeze_copy", "t_copy", "transpose_copy", "unbind_copy", "unfold_copy"),
    *spellings("unsqueeze_copy", "view_copy", "view_as_real_copy"),
    # copies and repeats
    *(torch.clone, Tensor.clone, torch.tile, Tensor.tile, Tensor.repeat),
    *(torch.repeat_interleave, Tensor.repeat_interleave, torch.flip, Tensor.flip),
    *(Tensor.__reversed__, torch.roll, Tensor.roll, torch.rot90, Tensor.rot90),
    *functions("functional", "affine_grid"),
    *spellings("affine_grid_generator", "embedding"),
    *(F.pixel_shuffle, F.pixel_unshuffle, F.channel_shuffle, F.fold, F.unfold),
    # casts
    *(Tensor.to, Tensor.type, Tensor.float, Tensor.double, Tensor.half),
    *(Tensor.bfloat16, Tensor.cpu, Tensor.cuda, Tensor.type_as, Tensor.to_dense),
    *spellings("xpu", "ipu", "mtia", "pin_memory"),
    *spellings("_autocast_to_full_precision", "_autocast_to_reduced_precision"),
    # sums
    *(torch.sum, Tensor.sum, torch.mean, Tensor.mean, torch.nansum, Tensor.nansum),
    *(torch.nanmean, Tensor.nanmean, torch.cumsum, Tensor.cumsum, torch.trace),
    *(Tensor.trace, torch.diff, Tensor.diff, Tensor.sum_to_size),
    *(F.avg_pool1d, F.avg_pool2d, F.avg_pool3d),
    *(F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d),
    *(torch._C._nn.adaptive_avg_pool2d, torch._C._nn.adaptive_avg_pool3d),
    *(F.interpolate, F.upsample, F.upsample_nearest, F.upsample_bilinear),
    # signs
    *spellings("rad2deg", "deg2rad"),
    *(torch.positive, Tensor.positive),
    inplace=(
        *(torch.neg_, Tensor.neg_, Tensor.unsqueeze_, Tensor.squeeze_),
        *(Tensor.transpose_, Tensor.t_, Tensor.swapaxes_, Tensor.swapdims_),
        *(Tensor.zero_, torch.zero_, Tensor.detach_, torch.detach_, Tensor.triu_),
        *(Tensor.tril_, Tensor.cumsum_),
        *writings("negative", "rad2deg", "deg2rad"),
    ),
)

RULES.runs(
    Kind.LINEAR,
    *(torch.neg, Tensor.neg, torch.negative, Tensor.negative),
    is_elementwise=True,
)
RULES.runs(
    Kind.AFFINE,
    *(torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__),
    *(torch.sub, Tensor.sub, torch.subtract, Tensor.subtract, Tensor.__sub__),
    *(torch.rsub, Tensor.__rsub__),
    is_elementwise=True,
)
RULES.runs(
    Kind.AFFINE,
    *(torch.cat, torch.concat, torch.concatenate, torch.stack, torch.hstack),
    *(torch.vstack, torch.row_stack, torch.dstack, torch.column_stack, torch.block_diag),
    *(torch.where, Tensor.where, torch.masked_fill, Tensor.masked_fill),
    *(torch.masked_scatter, Tensor.masked_scatter),
    *(F.pad, torch.constant_pad_nd, torch.meshgrid, torch.cartesian_prod),
    *(torch.index_add, Tensor.index_add, torch.index_copy, Tensor.index_copy),
    *(torch.index_fill, Tensor.index_fill, torch.index_put, Tensor.index_put),
    *(torch.scatter_add, Tensor.scatter_add),
    *(torch.slice_scatter, Tensor.slice_scatter, torch.select_scatter),
    *(Tensor.select_scatter, torch.diagonal_scatter, Tensor.diagonal_scatter),
    *spellings("put", "fill"),
    *(torch._C._nn.pad_sequence, torch._C._nn.pad),
    inplace=(
        *(Tensor.add_, Tensor.sub_, Tensor.subtract_, Tensor.__iadd__, Tensor.__isub__),
        *(Tensor.__setitem__, Tensor.copy_, Tensor.fill_, torch.fill_),
        *(Tensor.masked_fill_, Tensor.masked_scatter_, Tensor.index_add_),
        *(Tensor.index_copy_, Tensor.index_fill_, Tensor.index_put_, torch.index_put_),
        *(Tensor.scatter_add_, Tensor.fill_diagonal_, Tensor.put_),
    ),
)


for _names in (("trapezoid", "trapz"), ("cumulative_trapezoid",), ("gradient",)):
    # Affine in the values; the positions, where active, at the op's tangent.
    for _op in spellings(*_names):
        RULES.freezes(_op, affine_in_first=True, is_tangent=True)(partial(tangent, _op))


@RULES.decomposes(torch.asarray)
def asarray(
    obj: Tensor, *, dtype: Any = None, device: Any = None, copy: Any = None, **rest: Any
) -> Tensor:
    return obj.to(device or obj.device, dtype or obj.dtype, copy=bool(copy))


@RULES.decomposes(F.native_channel_shuffle)
def native_channel_shuffle(input: Tensor, groups: int) -> Tensor:
    return F.channel_shuffle(input, groups)


@RULES.freezes(Tensor.register_hook)
def register_hook(self: Tensor, hook: Any) -> RemovableHandle:
    """No hook: it is meant for gradients of the network, and may replace those of the map."""
    return RemovableHandle(OrderedDict())


@RULES.decomposes(Tensor.__iter__)
def iterate(self: Tensor) -> Iterator[Tensor]:
    return iter(self.unbind(0))


@RULES.freezes(F.grid_sample)
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Sampling positions held; of a constant image, where they alone are active, tangent."""
    return _sampled(F.grid_sample, input, grid, mode, padding_mode, align_corners)


for _sampler in spellings("grid_sampler", "grid_sampler_2d", "grid_sampler_3d"):

    @RULES.freezes(_sampler)
    def sampler(
        input: Tensor, grid: Tensor, *modes: Any, _op: Any = _sampler, **named: Any
    ) -> Tensor:
        return _sampled(_op, input, grid, *modes, **named)


def _sampled(op: Any, input: Tensor, grid: Tensor, *modes: Any, **named: Any) -> Tensor:
    if hold(lambda: is_active(input)):
        return op(input, hold(grid), *modes, **named)
    return tangent(op, input, grid, *modes, **named)


def _dropout(op: Any, *ops: Any) -> None:
    """Register ``ops``: identity in evaluation; in training mode, one random mask held."""

    @RULES.decomposes(*ops)
    def decomposition(
        input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training or p == 0.0:
            return input
        _warn_of_dropout()
        mask = op(torch.ones_like(input), p, True)
        return input.mul_(mask) if inplace else input * mask

    @RULES.decomposes(op)
    def native(input: Tensor, p: float, train: bool) -> Tensor:
        return decomposition(input, p, train)


_dropout(torch.dropout, F.dropout)
_dropout(torch.feature_dropout, F.dropout1d, F.dropout2d, F.dropout3d)


_SATURATION = -1.0507009873554805 * 1.6732632423543772  # of SELU, far below zero


def _alpha_dropout(op: Any, whole_channels: bool) -> None:
    """Register ``op``: dropped values saturate, then mean and variance are restored.

    Source: Klambauer et al. 2017, Self-Normalizing Neural Networks, section 2.
    """

    @RULES.decomposes(op)
    def decomposition(
        input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
    ) -> Tensor:
        if not training or p == 0.0:
            return input
        _warn_of_dropout()
        shape = (*input.shape[:2], *[1] * (input.dim() - 2)) if whole_channels else input.shape
        keep = torch.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1 - p)
        scale = ((1 - p) * (1 + p * _SATURATION**2)) ** -0.5 if p < 1 else 0.0
        result = input * (keep * scale) + (1 - keep - p) * (_SATURATION * scale)
        return input.copy_(result) if inplace else result


_alpha_dropout(F.alpha_dropout, whole_channels=False)
_alpha_dropout(F.feature_alpha_dropout, whole_channels=True)


def _warn_of_dropout() -> None:
    warn(
        TrainingModeWarning,
        "dropout ran in training mode: the map holds for one random mask only. "
        "Call model.eval() first.",
    )
