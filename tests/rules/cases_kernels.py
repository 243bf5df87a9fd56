"""Cases of the kernels behind the public ops, and of private spellings."""

from __future__ import annotations

import math

import torch

from tests.rules import references as ref
from tests.rules.cases import active, case, of_complex
from tests.rules.cases_structural import index, moves

nn, VF = torch._C._nn, torch._VF

moves((nn._pad_circular,), [1, 1], shape=(1, 2, 3))
moves((nn._pad_enum,), [1, 2], 1, shape=(1, 2, 3))
moves((nn.reflection_pad1d, nn.replication_pad1d), [1, 2], shape=(1, 2, 4))
moves((nn.reflection_pad2d, nn.replication_pad2d), [1, 2, 1, 0], shape=(1, 1, 3, 4))
moves((nn.reflection_pad3d, nn.replication_pad3d), [1, 1, 1, 0, 0, 1], shape=(1, 1, 2, 2, 3))
moves((nn.upsample_nearest1d, nn._upsample_nearest_exact1d), [5], shape=(1, 2, 3))
moves((nn.upsample_linear1d,), [5], False, shape=(1, 2, 3))
moves((nn.upsample_nearest2d, nn._upsample_nearest_exact2d), [5, 3], shape=(1, 1, 3, 2))
SMOOTH = (nn.upsample_bilinear2d, nn.upsample_bicubic2d)
ANTIALIASED = (nn._upsample_bilinear2d_aa, nn._upsample_bicubic2d_aa, nn._upsample_lanczos2d_aa)
moves((*SMOOTH, *ANTIALIASED), [2, 3], False, shape=(1, 1, 3, 4))
moves((nn.upsample_nearest3d, nn._upsample_nearest_exact3d), [3, 2, 3], shape=(1, 1, 2, 2, 2))
moves((nn.upsample_trilinear3d,), [3, 2, 3], False, shape=(1, 1, 2, 2, 2))
moves((nn.im2col,), [2, 2], [1, 1], [0, 0], [1, 1], shape=(1, 1, 3, 3))
moves((nn.col2im,), [3, 3], [2, 2], [1, 1], [0, 0], [1, 1], shape=(1, 4, 4))
moves((VF._adaptive_avg_pool2d,), [2, 2], shape=(1, 1, 3, 4))
moves((VF._adaptive_avg_pool3d,), [2, 1, 2], shape=(1, 1, 2, 2, 3))
moves((VF._cast_Double, VF._neg_view, VF._neg_view_copy, VF._lazy_clone))
CONJUGATES = (VF._conj, VF._conj_physical)
case(CONJUGATES, lambda: (active(3, 2),), ref.affine, lift=of_complex)
moves((VF._reshape_alias_copy,), [3, 2], [2, 1])
case((VF._to_cpu,), lambda: ([active(2), active(3)],), ref.affine)
case((nn.flatten_dense_tensors,), lambda: ([active(2, 2), active(3)],), ref.affine)
PARTS = [torch.empty(2, 1), torch.empty(4)]
case((nn.unflatten_dense_tensors,), lambda: (active(6), PARTS), ref.affine)
case((nn.max_pool2d_with_indices,), lambda: (active(1, 1, 4, 4), [2, 2]), ref.piece)
case((nn.max_pool3d_with_indices,), lambda: (active(1, 1, 2, 4, 2), [2, 2, 2]), ref.piece)
UNPOOLED = index(0, 3, 9, 10).reshape(1, 1, 2, 2)
case((nn.max_unpool2d,), lambda: (active(1, 1, 2, 2), UNPOOLED, [4, 4]), ref.affine)
case(
    (nn.max_unpool3d,),
    lambda: (active(1, 1, 1, 2, 2), UNPOOLED.unsqueeze(2), [1, 4, 4], [1, 2, 2], [0, 0, 0]),
    ref.affine,
)
SAMPLES = torch.tensor([[[0.3, 0.7, 0.2]]], dtype=torch.float64)
case(
    (nn.fractional_max_pool2d,),
    lambda: (active(1, 1, 5, 5), [2, 2], [3, 3], SAMPLES[..., :2]),
    ref.piece,
)
case(
    (nn.fractional_max_pool3d,),
    lambda: (active(1, 1, 5, 5, 5), [2, 2, 2], [3, 3, 3], SAMPLES),
    ref.piece,
)


def _gelu(z: float) -> float:
    return z * (1 + math.erf(z / math.sqrt(2))) / 2


case((nn.gelu_,), lambda: (active(5),), ref.secant(_gelu, 0.5))
