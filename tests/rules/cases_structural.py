"""Cases of ops that run as they are: moves, sums, copies, and additions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.rules import references as ref
from tests.rules.cases import active, case, values

nn = torch._C._nn


def index(*numbers: int) -> Tensor:
    return torch.tensor(numbers)


def mask(*bits: int) -> Tensor:
    return torch.tensor(bits, dtype=torch.bool)


def moves(ops: tuple, *rest: object, shape: tuple[int, ...] = (2, 3), **kwargs: object) -> None:
    case(ops, lambda: (active(*shape), *rest), ref.affine, **kwargs)


PROPERTIES = tuple(
    getattr(torch._C.TensorBase, name).__get__
    for name in ("T", "mT", "real", "imag", "H", "mH")
)
moves(PROPERTIES[:3])
moves((torch.reshape, Tensor.reshape, Tensor.view), (3, 2))
moves((Tensor.reshape_as, Tensor.view_as), values(3, 2))
moves((torch.flatten, Tensor.flatten, torch.ravel, Tensor.ravel, torch.t, Tensor.t))
moves((torch.unflatten, Tensor.unflatten), 1, (3, 1))
moves((torch.squeeze, Tensor.squeeze, Tensor.squeeze_), shape=(2, 1, 3))
moves((torch.unsqueeze, Tensor.unsqueeze, Tensor.unsqueeze_), 1)
SWAPS = (torch.transpose, Tensor.transpose, torch.swapaxes, Tensor.swapaxes, torch.swapdims)
SWAPS += (Tensor.swapdims, torch.movedim, Tensor.movedim, torch.moveaxis, Tensor.moveaxis)
moves((*SWAPS, Tensor.transpose_, Tensor.swapaxes_, Tensor.swapdims_), 0, 1)
moves((Tensor.t_, torch.adjoint, Tensor.adjoint, torch.conj, Tensor.conj))
moves((torch.permute, Tensor.permute), (1, 0))
moves((Tensor.expand, torch.broadcast_to, Tensor.broadcast_to), (4, 2, 3))
moves((Tensor.expand_as,), values(4, 2, 3))
moves((torch.broadcast_tensors,), values(4, 2, 3))
moves((torch.atleast_1d, torch.atleast_2d, torch.atleast_3d, Tensor.contiguous))
moves((torch.as_strided, Tensor.as_strided), (2, 2), (3, 1))
moves((Tensor.unfold,), 1, 2, 1)
moves((Tensor.__getitem__,), (slice(None), index(0, 2)))
moves((torch.narrow, Tensor.narrow), 1, 1, 2)
moves((torch.select, Tensor.select), 1, 1)
SPLITS = (torch.split, Tensor.split, torch.chunk, Tensor.chunk, torch.tensor_split)
moves((*SPLITS, Tensor.tensor_split), 2)
moves((torch.hsplit, Tensor.hsplit), 3)
moves((torch.vsplit, Tensor.vsplit), 2)
moves((torch.dsplit, Tensor.dsplit), 2, shape=(1, 2, 4))
moves((torch.split_with_sizes, Tensor.split_with_sizes), [1, 1])
moves((torch.unbind, Tensor.unbind))
moves((torch.index_select, Tensor.index_select), 1, index(2, 0))
case(
    (torch.gather, Tensor.gather),
    lambda: (active(2, 3), 1, index(2, 0).reshape(2, 1)),
    ref.affine,
)
TAKE = (torch.take_along_dim, Tensor.take_along_dim)
case(TAKE, lambda: (active(2, 3), index(2, 0).reshape(2, 1), 1), ref.affine)
moves((torch.take, Tensor.take), index(0, 4))
moves((torch.masked_select, Tensor.masked_select), mask(1, 0, 1))
moves(
    (torch.diagonal, Tensor.diagonal, torch.diag, Tensor.diag, torch.trace, Tensor.trace),
    shape=(3, 3),
)
moves((torch.diag_embed, Tensor.diag_embed, torch.triu, Tensor.triu, torch.tril, Tensor.tril))
moves((Tensor.triu_, Tensor.tril_))
case((F.embedding,), lambda: (index(0, 2), active(3, 2)), ref.affine)
moves(
    (
        Tensor.__reversed__,
        torch.clone,
        Tensor.clone,
        torch.fliplr,
        torch.flipud,
        torch.rot90,
        Tensor.rot90,
    )
)
moves((torch.tile, Tensor.tile, Tensor.repeat), (2, 2))
moves((torch.repeat_interleave, Tensor.repeat_interleave, torch.roll, Tensor.roll), 2)
moves((torch.flip, Tensor.flip), (0, 1))
moves((F.pixel_shuffle,), 2, shape=(1, 4, 2, 2))
moves((F.pixel_unshuffle,), 2, shape=(1, 1, 4, 4))
moves((F.channel_shuffle,), 2, shape=(1, 4, 2, 2))
moves((F.fold,), (3, 3), (2, 2), shape=(1, 4, 4))
moves((F.unfold,), (2, 2), shape=(1, 1, 3, 3))
moves((Tensor.to, Tensor.type), torch.float64)
moves((Tensor.double, Tensor.cpu))
moves((Tensor.type_as,), values(1))
SUMS = (torch.sum, Tensor.sum, torch.mean, Tensor.mean, torch.nansum, Tensor.nansum)
moves((*SUMS, torch.nanmean, Tensor.nanmean, torch.diff, Tensor.diff))
moves((torch.cumsum, Tensor.cumsum, Tensor.cumsum_), 1)
moves((Tensor.sum_to_size,), (1, 3))
moves((F.avg_pool1d,), 2, shape=(1, 2, 5))
moves((F.avg_pool2d,), 3, 2, 1, shape=(1, 1, 5, 5), ceil_mode=True)
moves((F.avg_pool3d,), 2, shape=(1, 1, 3, 3, 3))
moves((F.adaptive_avg_pool1d,), 2, shape=(1, 2, 5))
moves((F.adaptive_avg_pool2d, nn.adaptive_avg_pool2d), (2, 2), shape=(1, 1, 5, 5))
moves((F.adaptive_avg_pool3d, nn.adaptive_avg_pool3d), (2, 2, 2), shape=(1, 1, 3, 3, 3))
moves((F.interpolate,), None, 2.0, "bilinear", shape=(1, 1, 3, 3), align_corners=False)
moves((torch.neg, Tensor.neg, torch.negative, Tensor.negative, torch.neg_, Tensor.neg_))
moves((Tensor.negative_, torch.positive, Tensor.positive, Tensor.zero_, torch.zero_))
moves((F.dropout, F.dropout1d, torch.dropout), 0.5, False, shape=(1, 2, 3))
moves((F.dropout2d,), 0.5, False, shape=(1, 2, 2, 2))
moves((F.dropout3d,), 0.5, False, shape=(1, 2, 2, 2, 1))
moves((torch.feature_dropout, F.alpha_dropout, F.feature_alpha_dropout), 0.5, False)
moves(
    (F.grid_sample,),
    values(1, 2, 2, 2, low=-1.0, high=1.0),
    shape=(1, 1, 3, 3),
    align_corners=False,
)

# Additions of constants.
PLUS = (torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__, torch.sub, Tensor.sub)
PLUS += (torch.subtract, Tensor.subtract, Tensor.__sub__, torch.rsub, Tensor.__rsub__)
PLUS_ = (Tensor.add_, Tensor.sub_, Tensor.subtract_, Tensor.__iadd__, Tensor.__isub__)
moves((*PLUS, *PLUS_), values(2, 3))
moves((*PLUS, *PLUS_), 1.5)
case((*PLUS, *PLUS_), lambda: (active(2, 3), active(2, 3)), ref.affine)
JOIN = (torch.cat, torch.concat, torch.concatenate, torch.stack, torch.hstack, torch.vstack)
JOIN += (torch.row_stack, torch.dstack, torch.column_stack)
case(JOIN, lambda: ((active(2, 3), values(2, 3), active(2, 3)),), ref.affine)
case((torch.block_diag,), lambda: (active(2, 3), values(1, 2)), ref.affine)
case((torch.cartesian_prod,), lambda: (active(2), values(3)), ref.affine)
case((torch.meshgrid,), lambda: (active(2), values(3)), ref.affine, indexing="ij")
case((torch.where,), lambda: (mask(1, 0, 1), active(3), values(3)), ref.affine)
case((Tensor.where,), lambda: (active(3), mask(1, 0, 1), values(3)), ref.affine)
FILL = (torch.masked_fill, Tensor.masked_fill, Tensor.masked_fill_)
case(FILL, lambda: (active(2, 3), mask(1, 0, 1), 2.0), ref.affine)
SCATTER = (torch.masked_scatter, Tensor.masked_scatter, Tensor.masked_scatter_)
case(SCATTER, lambda: (active(3), mask(1, 0, 1), values(3)), ref.affine)
moves((F.pad, torch.constant_pad_nd), (1, 2), value=3.0)
ROWS = (torch.index_add, Tensor.index_add, torch.index_copy, Tensor.index_copy)
ROWS += (Tensor.index_add_, Tensor.index_copy_)
case(ROWS, lambda: (active(3, 2), 0, index(2, 0), values(2, 2)), ref.affine)
case(ROWS, lambda: (values(3, 2), 0, index(2, 0), active(2, 2)), ref.affine)
FILLS = (torch.index_fill, Tensor.index_fill, Tensor.index_fill_)
case(FILLS, lambda: (active(3, 2), 0, index(1), 4.0), ref.affine)
PUT = (torch.index_put, Tensor.index_put, Tensor.index_put_, torch.index_put_)
case(PUT, lambda: (active(3, 2), (index(0, 2),), values(2)), ref.affine)
PLACE = (torch.scatter, Tensor.scatter, torch.scatter_add, Tensor.scatter_add)
PLACE += (Tensor.scatter_, Tensor.scatter_add_)
case(PLACE, lambda: (active(2, 3), 1, index(0, 2).reshape(2, 1), values(2, 1)), ref.affine)
SLICE = (torch.slice_scatter, Tensor.slice_scatter)
case(SLICE, lambda: (active(3, 2), values(1, 2), 0, 1, 2), ref.affine)
SELECT = (torch.select_scatter, Tensor.select_scatter)
case(SELECT, lambda: (active(3, 2), values(2), 0, 1), ref.affine)
DIAGONAL = (torch.diagonal_scatter, Tensor.diagonal_scatter)
case(DIAGONAL, lambda: (active(3, 3), values(3)), ref.affine)
case((Tensor.copy_,), lambda: (values(2, 3), active(2, 3)), ref.affine)
case((Tensor.fill_, torch.fill_), lambda: (active(2, 3), 2.0), ref.affine)
case((Tensor.fill_diagonal_,), lambda: (active(3, 3), 2.0), ref.affine)
ROUND = (torch.floor_, Tensor.floor_, torch.ceil_, Tensor.ceil_, torch.round_, Tensor.round_)
case((*ROUND, torch.trunc_, Tensor.trunc_, Tensor.sign_), lambda: (active(5),), ref.constant)
