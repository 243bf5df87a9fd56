"""Cases of products and quotients, normalisation and attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.rules.attention import mixed_values
from captum_ilin.rules.recurrent import gated
from tests.rules import references as ref
from tests.rules.cases import active, case, values

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = (torch.mul, Tensor.mul, torch.multiply, Tensor.multiply, Tensor.__mul__)
TIMES_ = (Tensor.__rmul__, Tensor.mul_, Tensor.multiply_, Tensor.__imul__)
case((*TIMES, *TIMES_), lambda: (active(2, 3), active(2, 3)), ref.even_split)
case((*TIMES, *TIMES_), lambda: (active(2, 3), values(3)), ref.affine)
case(TIMES, lambda: (active(2, 3), active(3)), ref.even_split)
case((*TIMES, *TIMES_), lambda: (active(4), 2.5), ref.affine)
MATRICES = (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.linalg.matmul, torch.mm)
for ops, left, right in (
    ((*MATRICES, Tensor.mm, torch.inner, torch.tensordot, Tensor.inner), (3, 3), (3, 3)),
    ((torch.bmm, Tensor.bmm, torch.matmul), (2, 2, 3), (2, 3, 2)),
    ((torch.mv, Tensor.mv), (2, 3), (3,)),
    ((torch.dot, Tensor.dot), (3,), (3,)),
    ((torch.outer, Tensor.outer, torch.ger, Tensor.ger), (2,), (3,)),
):
    for op in ops:
        extra = (1,) if op is torch.tensordot else ()
        case(
            (op,), lambda a=left, b=right, e=extra: (active(*a), active(*b), *e), ref.even_split
        )
        case((op,), lambda a=left, b=right, e=extra: (active(*a), values(*b), *e), ref.affine)
        case((op,), lambda a=left, b=right, e=extra: (values(*a), active(*b), *e), ref.affine)


def _factors_shared(counts: Callable[[Tensor], Tensor]) -> Callable[[ref.Flat], ref.Map]:
    """Of an output that is a product of n factors, each factor's slope is 1/n of its own."""

    def reference(flat: ref.Flat) -> ref.Map:
        slope, _ = ref.tangent(flat)
        return slope / counts(slope).unsqueeze(1), slope.new_zeros(len(slope))

    return reference


def _nonzero(slope: Tensor) -> Tensor:
    """How many factors an output depends on; none of them is zero in these cases."""
    return (slope != 0).sum(1)


PRODUCTS = (torch.prod, Tensor.prod)
case(PRODUCTS, lambda: (active(2, 3),), _factors_shared(_nonzero))
case(PRODUCTS, lambda: (active(2, 3), 1, True), _factors_shared(_nonzero))
CUMULATED = (torch.cumprod, Tensor.cumprod, Tensor.cumprod_)
case(CUMULATED, lambda: (active(2, 4), -1), _factors_shared(_nonzero))
case(CUMULATED, lambda: (active(3, 2), 0), _factors_shared(_nonzero))


def _cosine_with_norms_held(flat: ref.Flat) -> ref.Map:
    """(x1 · x2)/(‖x1‖ ‖x2‖) row by row: the product split, the norms held."""
    first, second = (t.detach() for t in flat.active)
    scale = first.norm(dim=1) * second.norm(dim=1)
    blocks = [
        torch.block_diag(*(rows / (2 * scale).unsqueeze(1)).unsqueeze(1))
        for rows in (second, first)
    ]
    return torch.cat(blocks, 1), torch.zeros(len(first), dtype=first.dtype)


case((F.cosine_similarity,), lambda: (active(2, 3), active(2, 3)), _cosine_with_norms_held)
case((Tensor.__rmatmul__,), lambda: (active(3, 2), values(2, 3)), ref.affine)
case((torch.einsum,), lambda: ("ij,jk->ik", active(2, 3), active(3, 2)), ref.even_split)
case((torch.einsum,), lambda: ("i,i,i->i", active(3), active(3), active(3)), ref.even_split)
case((torch.einsum,), lambda: ("ij,jk->ik", [active(2, 3), values(3, 2)]), ref.affine)
case(
    (F.bilinear,), lambda: (active(2, 3), values(2, 2), values(4, 3, 2), values(4)), ref.affine
)
case((F.linear,), lambda: (active(2, 3), values(4, 3), values(4)), ref.affine)
case((F.linear,), lambda: (active(2, 3), values(4, 3), active(4)), ref.affine)
case((F.linear,), lambda: (active(2, 3), active(4, 3)), ref.even_split)
for dims, ops in enumerate(
    (
        (F.conv1d, F.conv_transpose1d),
        (F.conv2d, F.conv_transpose2d),
        (F.conv3d, F.conv_transpose3d),
    ),
    start=1,
):
    sides = (3,) * dims if dims == 3 else (4,) * dims
    kernel = (2,) * dims
    case(
        ops,
        lambda s=sides, k=kernel: (active(1, 2, *s), values(2, 2, *k), values(2)),
        ref.affine,
    )
    case(ops, lambda s=sides, k=kernel: (active(1, 2, *s), active(2, 2, *k)), ref.even_split)
case(
    (F.conv2d,),
    lambda: (active(1, 4, 5, 5), values(4, 2, 3, 3)),
    ref.affine,
    stride=2,
    padding=1,
    groups=2,
)
for ops, shapes in (
    ((torch.addmm, Tensor.addmm, Tensor.addmm_), ((2, 2), (2, 3), (3, 2))),
    ((torch.baddbmm, Tensor.baddbmm, Tensor.baddbmm_), ((2, 2, 2), (2, 2, 3), (2, 3, 2))),
    ((torch.addbmm, Tensor.addbmm, Tensor.addbmm_), ((2, 2), (2, 2, 3), (2, 3, 2))),
    ((torch.addmv, Tensor.addmv, Tensor.addmv_, torch.addmv_), ((2,), (2, 3), (3,))),
    ((torch.addr, Tensor.addr, Tensor.addr_), ((2, 3), (2,), (3,))),
):
    case(
        ops,
        lambda s=shapes: (active(*s[0]), active(*s[1]), values(*s[2])),
        ref.affine,
        beta=0.5,
        alpha=2.0,
    )
PRODUCT_SUM = (torch.addcmul, Tensor.addcmul, Tensor.addcmul_)
case(PRODUCT_SUM, lambda: (active(3), active(3), values(3)), ref.affine, value=2.0)
QUOTIENT_SUM = (torch.addcdiv, Tensor.addcdiv, Tensor.addcdiv_)
case(QUOTIENT_SUM, lambda: (active(3), active(3), values(3, low=1)), ref.affine, value=2.0)
MIX = (torch.lerp, Tensor.lerp, Tensor.lerp_)
case(MIX, lambda: (active(3), active(3), 0.3), ref.affine)
case(MIX, lambda: (values(3), values(3), active(3)), ref.affine)
OVER = (torch.div, Tensor.div, torch.divide, Tensor.divide, torch.true_divide)
OVER += (Tensor.true_divide, Tensor.__truediv__)
OVER_ = (Tensor.div_, Tensor.divide_, Tensor.true_divide_, Tensor.__itruediv__)
case((*OVER, *OVER_), lambda: (active(3), values(3, low=1)), ref.affine)
case(
    (*OVER, *OVER_),
    lambda: (active(3), active(3, low=1)),
    ref.held(lambda free, _, b: free / b),
)
case(OVER, lambda: (values(3), active(3, low=1)), ref.tangent)
case((Tensor.__rdiv__,), lambda: (active(3, low=1), 2.0), ref.tangent)
case((torch.div,), lambda: (active(3), 0.7), ref.constant, rounding_mode="floor")
case((F.glu,), lambda: (active(2, 6),), lambda flat: glu_reference(flat))


def glu_reference(flat: ref.Flat) -> ref.Map:
    """Half of the features times the held sigmoid of the other half."""
    z = flat.active[0].detach()
    slope = torch.zeros(2, 3, 2, 6, dtype=torch.float64)
    for row in range(2):
        for column in range(3):
            slope[row, column, row, column] = 1 / (1 + math.exp(-z[row, 3 + column]))
    return slope.reshape(6, 12), torch.zeros(6, dtype=torch.float64)


def centred(z: Tensor, dims: tuple[int, ...]) -> Tensor:
    return z - z.mean(dims, keepdim=True)


def deviation(z: Tensor, dims: tuple[int, ...], eps: float = 1e-5) -> Tensor:
    return (centred(z, dims).pow(2).mean(dims, keepdim=True) + eps).sqrt()


def layer_reference(free: Tensor, z: Tensor) -> Tensor:
    return centred(free, (-1,)) / deviation(z, (-1,)) * WEIGHT + BIAS


WEIGHT, BIAS = values(4), values(4)
LAYER = (F.layer_norm, torch.layer_norm)
case(LAYER, lambda: (active(2, 4), (4,), WEIGHT, BIAS), ref.held(layer_reference))
case(
    LAYER,
    lambda: (active(2, 3, 4), (3, 4)),
    ref.held(lambda free, z: centred(free, (-2, -1)) / deviation(z, (-2, -1))),
)


def rms_reference(free: Tensor, z: Tensor) -> Tensor:
    return free / (z.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * WEIGHT


case(
    (F.rms_norm, torch.rms_norm),
    lambda: (active(2, 4), (4,), WEIGHT, 1e-6),
    ref.held(rms_reference),
)


def group_reference(free: Tensor, z: Tensor) -> Tensor:
    def grouped(t: Tensor) -> Tensor:
        return t.reshape(2, 2, 6)

    scaled = centred(grouped(free), (-1,)) / deviation(grouped(z), (-1,))
    return scaled.reshape(2, 4, 3) * WEIGHT[:, None] + BIAS[:, None]


case(
    (F.group_norm, torch.group_norm),
    lambda: (active(2, 4, 3), 2, WEIGHT, BIAS),
    ref.held(group_reference),
)
case(
    (F.instance_norm,),
    lambda: (active(2, 4, 3),),
    ref.held(lambda free, z: centred(free, (-1,)) / deviation(z, (-1,))),
)
STATISTICS = values(3), values(3, low=0.5)
case((F.batch_norm,), lambda: (active(2, 3, 2), *STATISTICS, values(3), values(3)), ref.affine)
case(
    (F.normalize,),
    lambda: (active(2, 3),),
    ref.held(lambda free, z: free / z.pow(2).sum(1, keepdim=True).sqrt()),
)


def response_reference(free: Tensor, z: Tensor) -> Tensor:
    scale = torch.ones_like(z)
    for channel in range(z.shape[1]):
        window = z[:, max(0, channel - 1) : channel + 2].pow(2).sum(1) / 3
        scale[:, channel] = (1.0 + 0.5 * window) ** -0.75
    return free * scale


case((F.local_response_norm,), lambda: (active(1, 4, 2), 3, 0.5), ref.held(response_reference))


def pattern(query: Tensor, key: Tensor, causal: bool) -> Tensor:
    scores = torch.einsum("hid,hjd->hij", query, key) / math.sqrt(query.shape[-1])
    for row in range(scores.shape[1]):
        for column in range(row + 1, scores.shape[2]):
            if causal:
                scores[:, row, column] = -math.inf
    exponentials = (scores - scores.amax(-1, keepdim=True)).exp()
    return exponentials / exponentials.sum(-1, keepdim=True)


QUERY, KEY = values(2, 3, 4), values(2, 3, 4)
ATTENTION = (F.scaled_dot_product_attention,)
for causal in (False, True):
    case(
        ATTENTION,
        lambda: (QUERY, KEY, active(2, 3, 4)),
        ref.held(lambda free, _, c=causal: pattern(QUERY, KEY, c) @ free),
        is_causal=causal,
    )
case(ATTENTION, lambda: (active(2, 3, 4), KEY, values(2, 3, 4)), ref.tangent)
case(
    (mixed_values,),
    lambda: (QUERY, KEY, active(2, 3, 4), None, False, None, False),
    ref.held(lambda free, _: pattern(QUERY, KEY, False) @ free),
)


def gate_held(flat: ref.Flat) -> ref.Map:
    gate, value = (t.detach() for t in flat.active)
    slope = torch.cat([torch.zeros(len(value), len(gate)), torch.diag(gate)], 1)
    return slope.double(), torch.zeros(len(value), dtype=torch.float64)


case((gated,), lambda: (active(3), active(3)), gate_held)
case((gated,), lambda: (active(3), values(3)), lambda flat: ref.constant(flat))
case((gated,), lambda: (values(3), active(3)), ref.affine)
