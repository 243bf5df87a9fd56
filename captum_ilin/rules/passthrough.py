"""Ops that need no rule: run as they are.

INERT     reads shape or metadata.
CONSTANT  a result without slope: comparisons, indices, rounding, detach.
LINEAR    moves, sums or copies values: no constant.
AFFINE    may add a constant, through an argument that is not active.
"""

from __future__ import annotations

from types import GetSetDescriptorType
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.errors import TrainingModeWarning
from captum_ilin.holding import hold
from captum_ilin.ruletable import Kind, RuleTable
from captum_ilin.tangent import tangent
from captum_ilin.warning import warn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RULES"]

RULES = RuleTable()

_VIEWS = ("T", "mT", "H", "mH", "real", "imag")  # properties that return values
_DETACHED = ("data",)


def _properties() -> Iterator[tuple[str, Any]]:
    """Every property of Tensor, with its getter as the mode receives it."""
    for owner in (Tensor, torch._C.TensorBase):
        for name, attribute in vars(owner).items():
            if isinstance(attribute, (GetSetDescriptorType, property)):
                yield name, attribute


for _name, _property in _properties():
    if _name in _VIEWS:
        RULES.runs(Kind.LINEAR, _property.__get__)
    elif _name in _DETACHED:
        RULES.runs(Kind.CONSTANT, _property.__get__)
    else:
        RULES.runs(Kind.INERT, _property.__get__)
    RULES.runs(Kind.INERT, _property.__set__)

RULES.runs(
    Kind.INERT,
    *(Tensor.size, Tensor.dim, Tensor.ndimension, Tensor.numel, Tensor.nelement),
    *(Tensor.stride, Tensor.storage_offset, Tensor.is_contiguous, Tensor.element_size),
    *(Tensor.is_floating_point, Tensor.is_complex, Tensor.is_signed, Tensor.is_inference),
    *(Tensor.is_shared, Tensor.is_pinned, Tensor.is_conj, Tensor.is_neg),
    *(Tensor.is_same_size, Tensor.get_device, Tensor.__len__, Tensor.__hash__),
    *(Tensor.data_ptr, Tensor.storage, Tensor.untyped_storage, Tensor._is_view),
    *(Tensor.register_hook, Tensor.retain_grad, Tensor.requires_grad_),
    *(torch.numel, torch.is_floating_point, torch.is_complex, torch.is_inference),
    *(torch.is_same_size, torch.result_type, torch.promote_types, torch.can_cast),
    *(torch.is_conj, torch.is_neg, torch.is_signed, torch.get_device),
    *(Tensor.dim_order, Tensor.__dlpack_device__),
)

RULES.runs(
    Kind.CONSTANT,
    *(Tensor.detach, torch.detach, Tensor.item, Tensor.tolist, Tensor.numpy),
    *(Tensor.__bool__, Tensor.__float__, Tensor.__int__, Tensor.__index__),
    *(Tensor.__format__, Tensor.__repr__, Tensor.__contains__, Tensor.is_nonzero),
    *(Tensor.__array__, torch.is_nonzero),
    *(torch.eq, Tensor.eq, torch.ne, Tensor.ne, torch.not_equal, Tensor.not_equal),
    *(torch.lt, Tensor.lt, torch.less, Tensor.less),
    *(torch.le, Tensor.le, torch.less_equal, Tensor.less_equal),
    *(torch.gt, Tensor.gt, torch.greater, Tensor.greater),
    *(torch.ge, Tensor.ge, torch.greater_equal, Tensor.greater_equal),
    *(torch.equal, Tensor.equal, torch.allclose, Tensor.allclose),
    *(torch.isclose, Tensor.isclose, torch.isnan, Tensor.isnan),
    *(torch.isinf, Tensor.isinf, torch.isfinite, Tensor.isfinite),
    *(torch.isposinf, Tensor.isposinf, torch.isneginf, Tensor.isneginf),
    *(torch.logical_and, Tensor.logical_and, torch.logical_or, Tensor.logical_or),
    *(torch.logical_not, Tensor.logical_not, torch.logical_xor, Tensor.logical_xor),
    *(torch.all, Tensor.all, torch.any, Tensor.any),
    *(torch.argmax, Tensor.argmax, torch.argmin, Tensor.argmin),
    *(torch.argsort, Tensor.argsort, torch.nonzero, Tensor.nonzero),
    *(torch.argwhere, Tensor.argwhere, torch.count_nonzero, Tensor.count_nonzero),
    *(torch.searchsorted, torch.bucketize, torch.unique, Tensor.unique),
    *(torch.floor, Tensor.floor, torch.ceil, Tensor.ceil, torch.round, Tensor.round),
    *(torch.trunc, Tensor.trunc, torch.fix, Tensor.fix, torch.sign, Tensor.sign),
    *(torch.sgn, Tensor.sgn, torch.heaviside, Tensor.heaviside),
    *(torch.signbit, Tensor.signbit, torch.floor_divide, Tensor.floor_divide),
    *(Tensor.__floordiv__, Tensor.__rfloordiv__, F.one_hot),
    *(torch.zeros_like, torch.ones_like, torch.full_like, torch.empty_like),
    *(torch.rand_like, torch.randn_like, torch.randint_like),
    *(Tensor.new_zeros, Tensor.new_ones, Tensor.new_full, Tensor.new_empty),
    *(Tensor.new_tensor, torch.bernoulli, Tensor.bernoulli, torch.multinomial),
    *(Tensor.multinomial, torch.histc, Tensor.histc, torch.bincount, Tensor.bincount),
    *(Tensor.int, Tensor.long, Tensor.short, Tensor.char, Tensor.byte, Tensor.bool),
)

for _round, _round_ in (
    (torch.floor, (Tensor.floor_, torch.floor_)),
    (torch.ceil, (Tensor.ceil_, torch.ceil_)),
    (torch.round, (Tensor.round_, torch.round_)),
    (torch.trunc, (Tensor.trunc_, torch.trunc_)),
    (torch.sign, (Tensor.sign_,)),
):

    def _write_constant(input: Tensor, *args: Any, _op: Any = _round, **kwargs: Any) -> Tensor:
        return input.copy_(hold(_op, input, *args, **kwargs))

    RULES.writes(*_round_, plain=_round, is_tangent=True)(_write_constant)

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
    # copies and repeats
    *(torch.clone, Tensor.clone, torch.tile, Tensor.tile, Tensor.repeat),
    *(torch.repeat_interleave, Tensor.repeat_interleave, torch.flip, Tensor.flip),
    *(
        Tensor.__reversed__,
        torch.fliplr,
        torch.flipud,
        torch.roll,
        Tensor.roll,
        torch.rot90,
        Tensor.rot90,
    ),
    *(F.pixel_shuffle, F.pixel_unshuffle, F.channel_shuffle, F.fold, F.unfold),
    # casts
    *(Tensor.to, Tensor.type, Tensor.float, Tensor.double, Tensor.half),
    *(Tensor.bfloat16, Tensor.cpu, Tensor.cuda, Tensor.type_as),
    # sums
    *(torch.sum, Tensor.sum, torch.mean, Tensor.mean, torch.nansum, Tensor.nansum),
    *(torch.nanmean, Tensor.nanmean, torch.cumsum, Tensor.cumsum, torch.trace),
    *(Tensor.trace, torch.diff, Tensor.diff, Tensor.sum_to_size),
    *(F.avg_pool1d, F.avg_pool2d, F.avg_pool3d),
    *(F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d),
    *(torch._C._nn.adaptive_avg_pool2d, torch._C._nn.adaptive_avg_pool3d),
    *(F.interpolate, F.upsample, F.upsample_nearest, F.upsample_bilinear),
    # signs
    *(torch.neg, Tensor.neg, torch.negative, Tensor.negative),
    *(torch.positive, Tensor.positive),
    inplace=(
        *(torch.neg_, Tensor.neg_, Tensor.negative_, Tensor.unsqueeze_, Tensor.squeeze_),
        *(Tensor.transpose_, Tensor.t_, Tensor.swapaxes_, Tensor.swapdims_),
        *(Tensor.zero_, torch.zero_, Tensor.detach_, torch.detach_, Tensor.triu_),
        *(Tensor.tril_, Tensor.cumsum_),
    ),
)

RULES.runs(
    Kind.AFFINE,
    *(torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__),
    *(torch.sub, Tensor.sub, torch.subtract, Tensor.subtract, Tensor.__sub__),
    *(torch.rsub, Tensor.__rsub__),
    *(torch.cat, torch.concat, torch.concatenate, torch.stack, torch.hstack),
    *(torch.vstack, torch.row_stack, torch.dstack, torch.column_stack, torch.block_diag),
    *(torch.where, Tensor.where, torch.masked_fill, Tensor.masked_fill),
    *(torch.masked_scatter, Tensor.masked_scatter),
    *(F.pad, torch.constant_pad_nd, torch.meshgrid, torch.cartesian_prod),
    *(torch.index_add, Tensor.index_add, torch.index_copy, Tensor.index_copy),
    *(torch.index_fill, Tensor.index_fill, torch.index_put, Tensor.index_put),
    *(torch.scatter, Tensor.scatter, torch.scatter_add, Tensor.scatter_add),
    *(torch.slice_scatter, Tensor.slice_scatter, torch.select_scatter),
    *(Tensor.select_scatter, torch.diagonal_scatter, Tensor.diagonal_scatter),
    inplace=(
        *(Tensor.add_, Tensor.sub_, Tensor.subtract_, Tensor.__iadd__, Tensor.__isub__),
        *(Tensor.__setitem__, Tensor.copy_, Tensor.fill_, torch.fill_),
        *(Tensor.masked_fill_, Tensor.masked_scatter_, Tensor.index_add_),
        *(Tensor.index_copy_, Tensor.index_fill_, Tensor.index_put_, torch.index_put_),
        *(Tensor.scatter_, Tensor.scatter_add_, Tensor.fill_diagonal_),
    ),
)


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
    """Sampling positions held."""
    return F.grid_sample(input, hold(grid), mode, padding_mode, align_corners)


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


_dropout(torch.dropout, F.dropout, torch.dropout)
_dropout(torch.feature_dropout, F.dropout1d, F.dropout2d, F.dropout3d, torch.feature_dropout)


@RULES.freezes(F.alpha_dropout, F.feature_alpha_dropout)
def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    if not training or p == 0.0:
        return input
    _warn_of_dropout()
    return tangent(torch.alpha_dropout, input, p, True)


def _warn_of_dropout() -> None:
    warn(
        TrainingModeWarning,
        "dropout ran in training mode: the map holds for one random mask only. "
        "Call model.eval() first.",
    )
