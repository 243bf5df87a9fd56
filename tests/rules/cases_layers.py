"""Convolutions, pooling, resampling and padding in the options that layers have."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.rules import references as ref
from tests.rules.cases import active, case, values
from tests.rules.cases_structural import index, moves

CONVOLUTIONS = F.conv1d, F.conv2d, F.conv3d
TRANSPOSED = F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d


def filtered(op: object, dims: int, weight: tuple[int, int], kernel: int, **options: object):
    """A convolution of four channels, whose input is active, or its weight, or both."""
    sides, shape = (5,) * dims if dims < 3 else (4, 3, 3), (*weight, *(kernel,) * dims)
    bias = weight[0] if op in CONVOLUTIONS else weight[1] * options.get("groups", 1)
    case((op,), lambda: (active(1, 4, *sides), values(*shape), values(bias)), AFFINE, **options)
    case((op,), lambda: (values(1, 4, *sides), active(*shape), active(bias)), AFFINE, **options)


AFFINE = ref.affine
for dims, (op, transposed) in enumerate(zip(CONVOLUTIONS, TRANSPOSED, strict=True), start=1):
    filtered(op, dims, (2, 4), 3, padding="same", dilation=2)
    filtered(op, dims, (4, 2), 2, stride=2, padding=1, groups=2)
    filtered(op, dims, (4, 1), 2, groups=4, dilation=2, padding="valid")
    filtered(transposed, dims, (4, 1), 3, stride=2, padding=1, output_padding=1, groups=2)
    filtered(transposed, dims, (4, 2), 2, dilation=2, stride=1, padding=1)

# Pooling.
moves((F.avg_pool1d,), 3, 2, 1, True, False, shape=(1, 2, 6))
for counts in (True, False):
    moves((F.avg_pool2d,), (3, 2), (2, 1), (1, 1), True, counts, shape=(1, 1, 6, 5))
    moves((F.avg_pool3d,), 2, 2, 1, True, counts, shape=(1, 1, 3, 4, 3))
moves((F.avg_pool2d,), 2, 1, 0, False, True, 3, shape=(1, 1, 4, 4))
moves((F.avg_pool3d,), 2, 1, 0, False, True, 5, shape=(1, 1, 3, 3, 3))
moves((F.adaptive_avg_pool2d,), (None, 3), shape=(1, 1, 3, 7))
moves((F.adaptive_avg_pool3d,), (2, 3, 1), shape=(1, 1, 3, 4, 2))
OVERLAPPING = {"stride": 1, "padding": 1, "dilation": 2, "ceil_mode": True}
case((F.max_pool1d, torch.max_pool1d), lambda: (active(1, 2, 9), 3), ref.piece, **OVERLAPPING)
case(
    (F.max_pool2d, torch.max_pool2d), lambda: (active(1, 1, 6, 6), 3), ref.piece, **OVERLAPPING
)
case(
    (F.max_pool3d, torch.max_pool3d),
    lambda: (active(1, 1, 5, 5, 5), 3),
    ref.piece,
    **OVERLAPPING,
)
case((F.adaptive_max_pool2d,), lambda: (active(1, 1, 7, 5), (3, 2)), ref.piece)
case((F.adaptive_max_pool3d,), lambda: (active(1, 1, 5, 3, 4), (2, 2, 3)), ref.piece)
for dims, pool in enumerate((F.lp_pool1d, F.lp_pool2d, F.lp_pool3d), start=1):
    shape = (1, 1, *(4, 5, 4)[:dims])
    low = {"low": 0.2}
    case((pool,), lambda s=shape: (active(*s, low=0.2), 3.0, 2, 1), ref.tangent)
SMALL = {"output_ratio": (0.6, 0.5), "_random_samples": torch.tensor([[[0.3, 0.8]]]).double()}
case((F.fractional_max_pool2d,), lambda: (active(1, 1, 6, 7), 2), ref.piece, **SMALL)

# Resampling.
for mode, dims in (
    *(("nearest", 1), ("nearest", 2), ("nearest", 3), ("nearest-exact", 2), ("linear", 1)),
    *(("bilinear", 2), ("bicubic", 2), ("trilinear", 3), ("area", 1), ("area", 2), ("area", 3)),
):
    shape = (1, 1, *(3, 4, 3)[:dims])
    smooth = mode in ("linear", "bilinear", "bicubic", "trilinear")
    moves((F.interpolate,), (5, 3, 2)[:dims], None, mode, shape=shape)
    for aligned in (True, False) if smooth else (None,):
        fractional = {"align_corners": aligned, "recompute_scale_factor": True}
        moves((F.interpolate,), None, 1.7, mode, shape=shape, align_corners=aligned)
        moves((F.interpolate,), None, 0.7, mode, shape=shape, **fractional)
for mode in ("bilinear", "bicubic"):
    moves((F.interpolate,), (3, 2), None, mode, shape=(1, 1, 5, 6), antialias=True)
FLAT, SOLID = values(1, 3, 2, 2, low=-1.4, high=1.4), values(1, 2, 2, 2, 3, low=-1.4, high=1.4)
for padding in ("zeros", "border", "reflection"):
    for mode in ("nearest", "bilinear", "bicubic"):
        moves((F.grid_sample,), FLAT, mode, padding, shape=(1, 2, 4, 4), align_corners=True)
    for mode in ("nearest", "bilinear"):
        moves(
            (F.grid_sample,), SOLID, mode, padding, shape=(1, 1, 3, 3, 3), align_corners=False
        )
case(
    (F.grid_sample,),
    lambda: (values(1, 2, 4, 4), active(1, 2, 2, 2, low=-0.9, high=0.9)),
    ref.tangent,
    align_corners=False,
)
moves((F.fold,), (4, 4), (2, 2), shape=(1, 4, 9), dilation=1, padding=0, stride=1)
moves((F.fold,), (3, 3), (2, 2), shape=(1, 8, 4), dilation=2, padding=1, stride=2)
moves((F.unfold,), (2, 2), shape=(1, 2, 4, 4), dilation=2, padding=1, stride=2)

# Padding.
for mode in ("reflect", "replicate", "circular"):
    moves((F.pad,), (2, 1), mode, shape=(1, 2, 4))
    moves((F.pad,), (2, 1, 1, 0), mode, shape=(1, 2, 4, 3))
    moves((F.pad,), (1, 1, 0, 1, 1, 1), mode, shape=(1, 1, 2, 2, 3))
moves((F.pad,), (-1, 2, 0, -1), "constant", 0.3, shape=(1, 3, 4))

# Scatters by their older forms, and accumulation.
PLACES = torch.tensor([[0, 1], [1, 1]])
ONTO = (torch.scatter, Tensor.scatter, Tensor.scatter_)
case(ONTO, lambda: (active(2, 3), 1, PLACES, 0.5), ref.affine)
case(ONTO, lambda: (active(2, 3), 1, PLACES, active(2, 2)), ref.affine, reduce="add")
case(ONTO, lambda: (values(2, 3), 1, PLACES, active(2, 2)), ref.affine, reduce="add")
case(ONTO, lambda: (active(2, 3), 1, PLACES, 0.5), ref.affine, reduce="add")
case(ONTO, lambda: (active(2, 3), 1, PLACES, 0.5), ref.affine, reduce="multiply")
case(ONTO, lambda: (active(2, 3), 1, PLACES, values(2, 2)), ref.affine, reduce="multiply")
PUT = (torch.index_put, Tensor.index_put, Tensor.index_put_, torch.index_put_)
case(PUT, lambda: (active(3, 2), (index(0, 0, 1),), active(3, 2), True), ref.affine)
case(
    (Tensor.put, torch.put, Tensor.put_),
    lambda: (active(2, 3), index(0, 3, 3), active(3), True),
    ref.affine,
)
case((torch.logcumsumexp, Tensor.logcumsumexp), lambda: (active(2, 4), 1), ref.tangent)
BAG = index(0, 2, 1, 2)
case(
    (F.embedding_bag,),
    lambda: (BAG, values(3, 2), index(0, 3)),
    ref.affine,
    mode="sum",
    per_sample_weights=active(4),
)
case(
    (F.embedding_bag,),
    lambda: (BAG.reshape(2, 2), active(3, 2)),
    ref.even_split,
    mode="sum",
    per_sample_weights=active(2, 2),
)
