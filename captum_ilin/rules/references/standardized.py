"""``standardized``: centred, divided by the deviation, between two points.

With c = z − mean z, σ = √(mean c² + ε) and y = c/σ over the axes that the statistics are of,
and n elements in those:

Δy = r̄ · P (I − h hᵀ/n) P Δz,    r̄ = ½(1/σ + 1/σ'),    h = (c + c') / (σ + σ')

P takes the mean away. D is the op's own tangent with r̄ in the place of 1/σ and h in that of y,
and D = Dᵀ. Without P, for c = z, this is RMS norm.

Derivation: Δ(c/σ) = r̄ Δc + ½(c + c') Δ(1/σ), and of 1/σ = s^(−½) with s = mean c² + ε
Δ(1/σ) = −Δs / (σ σ' (σ + σ')), Δs = (c + c')ᵀ Δc / n. The row of the reference rules that
takes square, mean, rsqrt and product one by one gives the same D.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from captum_ilin.rules.between import matrixed
from captum_ilin.ruletable import RuleTable
from captum_ilin.slope import Slope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["RULES", "standardized"]

RULES = RuleTable()


def standardized(
    input: Tensor,
    plain: Callable[[Tensor], Tensor],
    dims: Sequence[int],
    eps: float,
    *,
    weight: Tensor | None = None,
    layout: Sequence[int] | None = None,
    is_centred: bool = True,
) -> Tensor:
    """``plain`` as an op of its own: z standardized, then scaled and shifted.

    Args:
        input: z, any shape.
        plain: the op that gives the value, with a constant weight and bias.
        dims: the axes that the statistics are of.
        eps: ε.
        weight: what ``plain`` scales by, constant, broadcast against z.
        layout: a shape that z and the weight have for ``dims``. Default: None, z's own.
        is_centred: whether the mean is taken away.
    """
    if not has_torch_function((input,)):
        return plain(input)
    options: Any = {"weight": weight, "layout": layout, "is_centred": is_centred}
    result: Tensor = handle_torch_function(
        standardized, (input,), input, plain, dims, eps, **options
    )
    return result


@RULES.freezes(standardized)
def between(
    input: Tensor,
    plain: Callable[[Tensor], Tensor],
    dims: Sequence[int],
    eps: float,
    *,
    weight: Tensor | None = None,
    layout: Sequence[int] | None = None,
    is_centred: bool = True,
) -> Tensor:
    shape = input.shape if layout is None else layout
    axes = tuple(sorted(dim % len(shape) for dim in dims))
    options: Any = {"dims": axes, "shape": shape, "is_centred": is_centred}

    def compute(here: Tensor, there: Tensor) -> tuple[Tensor, Slope]:
        first, second = _precise(here.reshape(shape)), _precise(there.reshape(shape))
        rate, h = _midway(first, second, axes, eps, is_centred)
        held = (rate, h) if weight is None else (rate, h, weight)
        return plain(here), Slope(partial(_push, **options), partial(_pull, **options), held)

    return matrixed(input, compute)


def _precise(point: Tensor) -> Tensor:
    """In float32 at least, as PyTorch takes statistics."""
    return point.to(torch.promote_types(point.dtype, torch.float32))


def _midway(
    here: Tensor, there: Tensor, dims: tuple[int, ...], eps: float, is_centred: bool
) -> tuple[Tensor, Tensor]:
    """r̄, and h = (y r' + y' r) / (r + r') with r = 1/σ, which is what stands above."""
    y, rate = _scaled(here, dims, eps, is_centred)
    y_there, rate_there = _scaled(there, dims, eps, is_centred)
    total = rate + rate_there
    return total / 2, y.mul_(rate_there / total).addcmul_(y_there, rate / total)


def _scaled(
    point: Tensor, dims: tuple[int, ...], eps: float, is_centred: bool
) -> tuple[Tensor, Tensor]:
    """c/σ, and 1/σ."""
    if is_centred and _are_last(point, dims):  # in one pass
        shape = list(point.shape[dims[0] :])
        y, _, rate = torch.native_layer_norm(point, shape, None, None, eps)
        return y, rate
    if is_centred:
        variance, mean = torch.var_mean(point, dims, correction=0, keepdim=True)
        rate = (variance + eps).rsqrt()
        return (point - mean).mul_(rate), rate
    rate = (point.square().mean(dims, keepdim=True) + eps).rsqrt()
    return point * rate, rate


def _are_last(tensor: Tensor, dims: tuple[int, ...]) -> bool:
    return dims == tuple(range(tensor.dim() - len(dims), tensor.dim()))


def _push(step: Tensor, rate: Tensor, h: Tensor, *weight: Tensor, **options: Any) -> Tensor:
    moved = _symmetric(step.reshape(options["shape"]), rate, h, **options)
    return _weighted(moved, weight).reshape(step.shape).to(step.dtype)


def _pull(vector: Tensor, rate: Tensor, h: Tensor, *weight: Tensor, **options: Any) -> Tensor:
    scaled = _weighted(vector.reshape(options["shape"]), weight)
    return _symmetric(scaled, rate, h, **options).reshape(vector.shape).to(vector.dtype)


def _weighted(vector: Tensor, weight: tuple[Tensor, ...]) -> Tensor:
    return vector * weight[0] if weight else vector


def _symmetric(
    vector: Tensor, rate: Tensor, h: Tensor, dims: Any, shape: Any, is_centred: bool
) -> Tensor:
    """r̄ · P (I − h hᵀ/n) P t."""
    along = (vector * h).mean(dims, keepdim=True)
    across = torch.addcmul(vector, h, along, value=-1)
    if is_centred:
        across = across - vector.mean(dims, keepdim=True)  # of h the mean is 0
    return across * rate
