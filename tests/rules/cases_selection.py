"""Cases of piecewise affine ops: what the active piece is."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.rules import references as ref
from tests.rules.cases import active, case, special, values

nn = torch._C._nn
WHOLE = (
    *(torch.relu, Tensor.relu, F.relu, torch.relu_, Tensor.relu_),
    *(nn.leaky_relu, nn.leaky_relu_, F.leaky_relu, F.rrelu, torch.rrelu, torch.rrelu_),
    *(torch.abs, Tensor.abs, torch.absolute, Tensor.absolute, torch.abs_, Tensor.abs_),
    *(Tensor.absolute_, F.relu6, nn.relu6, nn.relu6_, F.hardtanh, nn.hardtanh, nn.hardtanh_),
    *(F.hardsigmoid, nn.hardsigmoid, nn.hardsigmoid_, F.softshrink, torch.hardshrink),
    *(Tensor.hardshrink, torch.nan_to_num, Tensor.nan_to_num, torch.max, Tensor.max),
    *(torch.min, Tensor.min, torch.median, Tensor.median, torch.nanmedian, Tensor.nanmedian),
    *(torch.msort, Tensor.msort, torch.aminmax, Tensor.aminmax),
)
case(WHOLE, lambda: (active(3, 5, low=-8.0, high=8.0),), ref.piece)
ZERO = (F.relu, torch.relu_, F.leaky_relu, torch.abs, F.relu6, F.hardtanh, F.softshrink)
case(ZERO, special(-20.0, 20.0, 3.7, -0.2), ref.piece)
LIMITS = (torch.clamp, Tensor.clamp, torch.clip, Tensor.clip, torch.clamp_, Tensor.clamp_)
case((*LIMITS, torch.clip_, Tensor.clip_), lambda: (active(8), -1.1, 2.2), ref.piece)
case((torch.clamp, torch.clamp_), lambda: (active(8), values(8), values(8) + 2), ref.piece)
BELOW = (torch.clamp_min, Tensor.clamp_min, torch.clamp_min_, Tensor.clamp_min_)
ABOVE = (torch.clamp_max, Tensor.clamp_max, torch.clamp_max_, Tensor.clamp_max_)
case((*BELOW, *ABOVE), lambda: (active(8), 0.55), ref.piece)
case(
    (F.threshold, torch.threshold, torch.threshold_), lambda: (active(8), 0.5, -7.0), ref.piece
)
case((torch.prelu, Tensor.prelu), lambda: (active(2, 3), values(3)), ref.piece)
LARGER = (torch.maximum, Tensor.maximum, torch.fmax, Tensor.fmax, torch.max, Tensor.max)
SMALLER = (torch.minimum, Tensor.minimum, torch.fmin, Tensor.fmin, torch.min, Tensor.min)
case((*LARGER, *SMALLER), lambda: (active(6), values(6)), ref.piece)
case((*LARGER, *SMALLER), lambda: (active(6), active(6) + 0.0), ref.piece)
ALONG = (
    *(torch.max, Tensor.max, torch.min, Tensor.min, torch.amax, Tensor.amax, torch.amin),
    *(Tensor.amin, torch.sort, Tensor.sort, torch.median, torch.mode, Tensor.mode),
    *(torch.cummax, Tensor.cummax, torch.cummin, Tensor.cummin),
)
case(ALONG, lambda: (active(3, 4), 1), ref.piece)
case(
    (torch.topk, Tensor.topk, torch.kthvalue, Tensor.kthvalue),
    lambda: (active(3, 5), 2),
    ref.piece,
)
POOLS = (F.max_pool1d, torch.max_pool1d, F.max_pool1d_with_indices)
case((*POOLS, torch.max_pool1d_with_indices), lambda: (active(2, 2, 8), 3, 2), ref.piece)
POOLS = (F.max_pool2d, torch.max_pool2d, F.max_pool2d_with_indices)
case(POOLS, lambda: (active(1, 2, 6, 6), 3, 2), ref.piece)
case((F.max_pool2d,), lambda: (active(1, 2, 5, 5), 2, 2, 1), ref.piece, ceil_mode=True)
POOLS = (F.max_pool3d, torch.max_pool3d, F.max_pool3d_with_indices)
case(POOLS, lambda: (active(1, 1, 4, 4, 4), 2), ref.piece)
POOLS = (F.adaptive_max_pool1d, F.adaptive_max_pool1d_with_indices, torch.adaptive_max_pool1d)
case(POOLS, lambda: (active(1, 2, 7), 3), ref.piece)
POOLS = (F.adaptive_max_pool2d, F.adaptive_max_pool2d_with_indices, nn.adaptive_max_pool2d)
case(POOLS, lambda: (active(1, 2, 5, 5), (2, 3)), ref.piece)
POOLS = (F.adaptive_max_pool3d, F.adaptive_max_pool3d_with_indices, nn.adaptive_max_pool3d)
case(POOLS, lambda: (active(1, 1, 4, 4, 4), (2, 2, 2)), ref.piece)


def half(*shape: int) -> Tensor:
    return torch.full(shape, 0.5, dtype=torch.float64)


POOLS = (F.fractional_max_pool2d, F.fractional_max_pool2d_with_indices)
case(POOLS, lambda: (active(1, 1, 6, 6), 2, 3, None, False, half(1, 1, 2)), ref.piece)
POOLS = (F.fractional_max_pool3d, F.fractional_max_pool3d_with_indices)
case(POOLS, lambda: (active(1, 1, 5, 5, 5), 2, 3, None, False, half(1, 1, 3)), ref.piece)
MODULO = (torch.remainder, Tensor.remainder, Tensor.__mod__, torch.fmod, Tensor.fmod)
case(
    (*MODULO, Tensor.remainder_, Tensor.__imod__, Tensor.fmod_),
    lambda: (active(6), 0.7),
    ref.piece,
)
case((torch.frac, Tensor.frac, torch.frac_, Tensor.frac_), lambda: (active(6),), ref.piece)
