"""Cases of the rest of the op surface: copies of views, scatters, unpooling, embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.rules.spellings import writings
from tests.rules import references as ref
from tests.rules.cases import active, case, values
from tests.rules.cases_products import glu_reference
from tests.rules.cases_structural import index, moves

nn = torch._C._nn

moves((torch.alias_copy, torch.diagonal_copy, torch.t_copy, torch.diagflat, Tensor.diagflat))
moves(
    (torch.unbind_copy, Tensor.pin_memory)
    if torch.cuda.is_available()
    else (torch.unbind_copy,)
)
moves((torch.as_strided_copy,), (2, 2), (3, 1))
moves((torch.expand_copy,), (4, 2, 3))
moves((torch.narrow_copy, Tensor.narrow_copy), 1, 1, 2)
moves((torch.permute_copy,), (1, 0))
moves((torch.select_copy,), 1, 1)
moves((torch.slice_copy,), 1, 0, 2)
moves((torch.split_copy,), 2)
moves((torch.split_with_sizes_copy,), [1, 1])
moves((torch.squeeze_copy,), shape=(2, 1, 3))
moves((torch.transpose_copy,), 0, 1)
moves((torch.unfold_copy,), 1, 2, 1)
moves((torch.unsqueeze_copy,), 1)
moves((torch.view_copy,), (3, 2))
moves((torch.unsafe_chunk, Tensor.unsafe_chunk, torch.unsafe_split, Tensor.unsafe_split), 2)
moves((torch.unsafe_split_with_sizes, Tensor.unsafe_split_with_sizes), [1, 1])
moves((torch.combinations,), shape=(4,))
moves((Tensor.fliplr, Tensor.flipud, Tensor.to_dense, torch.rad2deg, Tensor.rad2deg))
DEGREES = (torch.deg2rad, Tensor.deg2rad, torch.rad2deg_, Tensor.rad2deg_, torch.deg2rad_)
moves((*DEGREES, Tensor.deg2rad_, torch.negative_, Tensor.negative_))
moves((torch.as_tensor, torch.asarray))
moves((F.native_channel_shuffle,), 2, shape=(1, 4, 2, 2))
moves((F.affine_grid, torch.affine_grid_generator), [1, 1, 2, 2], False, shape=(1, 2, 3))
moves((torch.embedding,), index(1, 0, 1))
moves((torch.fill,), 0.7)
moves((Tensor.put, torch.put, Tensor.put_), index(0, 3), values(2))
moves((nn.pad,), (1, 2), "constant", 0.5)
moves((torch.trapezoid, torch.trapz, torch.cumulative_trapezoid, torch.gradient))
moves((torch.trapezoid, torch.trapz, torch.cumulative_trapezoid), values(3))
case(
    (torch.trapezoid, torch.cumulative_trapezoid),
    lambda: (active(2, 3), active(3)),
    ref.tangent,
)
case((torch.frexp, Tensor.frexp), lambda: (active(3, low=1.1, high=1.9),), ref.affine)
GRID = values(1, 3, 3, 2, low=-0.9, high=0.9)
moves((torch.grid_sampler, torch.grid_sampler_2d), GRID, 0, 0, False, shape=(1, 2, 4, 4))
GRID_3D = values(1, 2, 2, 2, 3, low=-0.9, high=0.9)
moves((torch.grid_sampler_3d,), GRID_3D, 0, 0, False, shape=(1, 1, 3, 3, 3))
QUANTILES = (torch.quantile, Tensor.quantile, torch.nanquantile, Tensor.nanquantile)
case(QUANTILES, lambda: (active(3, 5), 0.35, 1), ref.piece)
case((torch.copysign, Tensor.copysign), lambda: (active(5), values(5)), ref.piece)
case((Tensor.copysign_,), lambda: (active(5), values(5)), ref.piece)
case((Tensor.nan_to_num_, torch.nan_to_num_), lambda: (active(5),), ref.piece)
case((Tensor.__rmod__,), lambda: (active(3, low=1.0, high=2.9), 10.0), ref.piece)
ROWS = torch.tensor([[0, 1, 1], [1, 0, 1]])
SCATTERS = (torch.scatter_reduce, Tensor.scatter_reduce, Tensor.scatter_reduce_)
BINS = (torch.index_reduce, Tensor.index_reduce, Tensor.index_reduce_)
for reduce in ("sum", "mean", "amax", "amin"):
    case(SCATTERS, lambda r=reduce: (active(2, 3), 0, ROWS, active(2, 3) * 0.9, r), ref.piece)
for reduce in ("mean", "amax", "amin"):
    case(
        BINS,
        lambda r=reduce: (active(2, 3), 0, index(1, 0, 1), active(3, 3) * 0.9, r),
        ref.piece,
    )
case(
    (*SCATTERS, *BINS)[:3],
    lambda: (active(2, 3), 0, ROWS, active(2, 3), "prod"),
    ref.tangent,
)
case(BINS, lambda: (active(2, 3), 0, index(1, 0, 1), active(3, 3), "prod"), ref.tangent)
case(
    SCATTERS,
    lambda: (values(2, 3), 0, ROWS, active(2, 3), "mean"),
    ref.piece,
    include_self=False,
)
UNPOOLED = torch.tensor([[[1, 3], [4, 6]]])
case((F.max_unpool1d,), lambda: (active(1, 2, 2), UNPOOLED % 4, 2), ref.affine)
FLAT = torch.tensor([[[[0, 3], [9, 10]]]])
case((F.max_unpool2d,), lambda: (active(1, 1, 2, 2), FLAT, 2), ref.affine)
case(
    (F.max_unpool3d,),
    lambda: (active(1, 1, 1, 2, 2), FLAT.unsqueeze(2), (1, 2, 2)),
    ref.affine,
)
BAG = index(0, 2, 1, 2)
for mode in ("sum", "mean", "max"):
    case(
        (F.embedding_bag,),
        lambda m=mode: (BAG, active(3, 2), index(0, 3), None, 2.0, False, m),
        ref.piece,
    )
case(
    (F.embedding_bag,),
    lambda: (BAG, active(3, 2), index(0, 3)),
    ref.affine,
    mode="sum",
    per_sample_weights=values(4),
)
case((torch.ldexp, Tensor.ldexp, Tensor.ldexp_), lambda: (active(4), values(4)), ref.affine)
case((torch.ldexp, Tensor.ldexp), lambda: (values(4), active(4)), ref.tangent)
case((torch.conv_tbc,), lambda: (active(4, 1, 2), values(2, 2, 3), values(3), 1), ref.affine)
case(
    (torch.conv_tbc,),
    lambda: (values(4, 1, 2), active(2, 2, 3), values(3), 1),
    ref.affine,
)
GEOMETRY = [1], [1], [1], False, [0], 1
case(
    (torch.convolution,),
    lambda: (active(1, 2, 5), values(3, 2, 3), values(3), *GEOMETRY),
    ref.affine,
)
case(
    (torch.convolution,),
    lambda: (values(1, 2, 5), active(3, 2, 3), values(3), *GEOMETRY),
    ref.affine,
)


def _renormed(flat: ref.Flat) -> ref.Map:
    """The scale of each row held."""
    rows = flat.active[0].detach()
    scales = [
        1.5 / (row.norm() + 1e-7) if row.norm() > 1.5 else torch.tensor(1.0) for row in rows
    ]
    slope = torch.diag(torch.stack(scales).double().repeat_interleave(rows.shape[1]))
    return slope, torch.zeros(len(slope)).double()


RENORMS = (torch.renorm, Tensor.renorm, Tensor.renorm_)
case(RENORMS, lambda: (active(3, 2), 2.0, 0, 1.5), _renormed)
STATISTICS = (values(2), values(2, low=0.5))
case(
    (torch.batch_norm,),
    lambda: (active(3, 2), values(2), values(2), *STATISTICS, False, 0.1, 1e-5, False),
    ref.affine,
)
case(
    (torch.instance_norm,),
    lambda: (active(3, 2, 2), values(2), values(2), *STATISTICS, False, 0.1, 1e-5, False),
    ref.affine,
)

# Identities that the families above leave out.
case((torch.logit_, Tensor.logit_), lambda: (active(5, low=0.05, high=0.95),), ref.tangent)
case(
    (Tensor.atan2_, Tensor.arctan2_, Tensor.hypot_),
    lambda: (active(4), active(4)),
    ref.tangent,
)
case((Tensor.float_power_,), lambda: (active(4, low=0.2), 0.5), ref.tangent)
case((torch.ldexp_,), lambda: (active(4), values(4)), ref.affine)
case((Tensor.__div__,), lambda: (active(3), values(3, low=1)), ref.affine)
case((nn.glu,), lambda: (active(2, 6), -1), glu_reference)
case((nn.pad_sequence,), lambda: ([active(2, 3), active(1, 3)], True, 0.5), ref.affine)
ROUNDED = ("floor", "ceil", "round", "trunc", "fix", "sign", "sgn", "logical_not")
case(writings(*ROUNDED), lambda: (active(5),), ref.constant)
COMPARED = ("eq", "ne", "not_equal", "lt", "less", "le", "less_equal", "gt", "greater", "ge")
COMPARED += ("greater_equal", "logical_and", "logical_or", "logical_xor", "heaviside")
COMPARED += ("floor_divide", "nextafter")
case(writings(*COMPARED), lambda: (active(5), values(5, low=0.5)), ref.constant)
case((Tensor.__ifloordiv__,), lambda: (active(5), values(5, low=0.5)), ref.constant)
