"""Softmax, its logarithm, and log-sum-exp between two points.

With L_i = (p_i − p'_i) / (log p_i − log p'_i), the logarithmic mean of p_i and p'_i over the
softmax's axis, and w = L / ΣL, a softmax that lies between the two:

Δ logsumexp = wᵀ Δz
Δ log p     = Δz − 1 wᵀ Δz
Δ p         = ΣL · (diag(w) − w wᵀ) Δz

For Δ log p = Δz − 1 Δlse, Δp_i = L_i Δ log p_i, and ΣΔp = 0. Every other split of the chain
exp, sum, reciprocal and product, such as one about a shift m that both points share, is exact
as well; this one depends on no shift, and w is softmax itself at equal points.
"""

from __future__ import annotations

import warnings
from functools import partial
from math import log
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.rules.between import matrixed
from captum_ilin.rules.rescale import places_where
from captum_ilin.rules.spellings import spellings
from captum_ilin.ruletable import RuleTable
from captum_ilin.slope import Slope

__all__ = ["RULES", "logarithmic_mean"]

RULES = RuleTable()


def logarithmic_mean(log_here: Tensor, log_there: Tensor) -> Tensor:
    """(p − p') / (log p − log p') of each element, p where both are equal, 0 where one is 0.

    Args:
        log_here, log_there: log p and log p', −∞ for 0.

    Returns:
        max(p, p') · (1 − exp(−d)) / d with d = |log p − log p'|, which neither cancels nor
        overflows.
    """
    distance = (log_here - log_there).abs_()
    larger = torch.maximum(log_here, log_there).exp_()
    share = torch.expm1(-distance).div_(distance).neg_().nan_to_num_(nan=1.0)  # of 0/0
    return larger.mul_(share).nan_to_num_(nan=0.0)  # a softmax without any element


def _between(log_here: Tensor, log_there: Tensor, dims: Any) -> tuple[Tensor, Tensor]:
    """w, and ΣL; both 0 where every element is masked."""
    return _normalized(logarithmic_mean(log_here, log_there), dims)


def _normalized(means: Tensor, dims: Any) -> tuple[Tensor, Tensor]:
    total = means.sum(dims, keepdim=True)
    return means.div_(total.masked_fill(total == 0, 1.0)), total


def _means(here: Tensor, there: Tensor, value: Tensor, other: Tensor, dim: int) -> Tensor:
    """`logarithmic_mean` of two softmaxes, (p − p') / (log p − log p'), in few passes.

    Where the logarithms are nearer than ε^⅓, ½(p + p') · (1 − d²/12), the beginning of its
    series, which leaves out d⁴/120 of it. Beyond, the quotient's rounding is ε^⅔ at most.
    """
    distance = (here - there).sub_(_log_sum(here, value, dim) - _log_sum(there, other, dim))
    means = (value - other).div_(distance)
    if torch.isnan(means.sum()):
        means.nan_to_num_(nan=0.0)  # masked at both points; 0/0 is near
    reach = torch.finfo(value.dtype).eps ** (1 / 3)
    places = places_where(lambda sizes: sizes <= reach, distance.abs_())
    if len(places):
        near, d = (value.take(places) + other.take(places)) / 2, distance.take(places)
        means.put_(places, near.addcmul_(near, d * d, value=-1 / 12))
    return means


def _log_sum(input: Tensor, softmax: Tensor, dim: int) -> Tensor:
    """log-sum-exp, from the largest score and its softmax."""
    return input.amax(dim, keepdim=True) - softmax.amax(dim, keepdim=True).log()


@RULES.freezes(*spellings("softmax"))
def softmax(input: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    def compute(here: Tensor, there: Tensor) -> tuple[Tensor, Slope]:
        here, there = here.to(dtype or here.dtype), there.to(dtype or here.dtype)
        value = torch.softmax(here, dim)
        w, total = _normalized(_means(here, there, value, torch.softmax(there, dim), dim), dim)
        pull = partial(_softmax_product, dim=dim)
        return value, Slope(partial(_softmax_push, dim=dim), pull, (w, total))

    return matrixed(input, compute)


def _softmax_product(vector: Tensor, w: Tensor, total: Tensor, *, dim: int) -> Tensor:
    """ΣL · (diag(w) − w wᵀ) t: the slope of a softmax that is w, which has a kernel."""
    return torch._softmax_backward_data(vector.to(w.dtype), w, dim, w.dtype) * total


def _softmax_push(step: Tensor, w: Tensor, total: Tensor, *, dim: int) -> Tensor:
    return _softmax_product(_finite(step), w, total, dim=dim)


def _log_softmaxes(here: Tensor, there: Tensor, dim: int, dtype: Any) -> tuple[Tensor, Tensor]:
    return torch.log_softmax(here, dim, dtype), torch.log_softmax(there, dim, dtype)


def _finite(vector: Tensor) -> Tensor:
    """``vector``, 0 for the infinities of masked scores, which no slope multiplies."""
    return vector.nan_to_num(nan=torch.nan, posinf=0.0, neginf=0.0)


@RULES.freezes(*spellings("log_softmax"))
def log_softmax(input: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    def compute(here: Tensor, there: Tensor) -> tuple[Tensor, Slope]:
        logs = _log_softmaxes(here, there, dim, dtype)
        w, _ = _between(*logs, dim)

        def push(step: Tensor, w: Tensor) -> Tensor:
            step = _finite(step)
            return step - (step * w).sum(dim, keepdim=True)

        def pull(vector: Tensor, w: Tensor) -> Tensor:
            return vector - w * vector.sum(dim, keepdim=True)

        return logs[0], Slope(push, pull, (w,))

    return matrixed(input, compute)


@RULES.freezes(*spellings("logsumexp"))
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    def compute(here: Tensor, there: Tensor) -> tuple[Tensor, Slope]:
        value = torch.logsumexp(here, dim, keepdim=True)
        w, _ = _between(here - value, there - torch.logsumexp(there, dim, keepdim=True), dim)

        def push(step: Tensor, w: Tensor) -> Tensor:
            return (_finite(step) * w).sum(dim, keepdim=keepdim)

        def pull(vector: Tensor, w: Tensor) -> Tensor:
            return w * (vector if keepdim else vector.reshape(value.shape))

        return value if keepdim else _squeezed(value, dim), Slope(push, pull, (w,))

    return matrixed(input, compute)


def _squeezed(value: Tensor, dim: Any) -> Tensor:
    return value.squeeze(dim if isinstance(dim, int) else tuple(dim)).clone()


@RULES.decomposes(F.softmax)
def functional_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    return torch.softmax(input, _dim_of("softmax", input, dim), dtype)


@RULES.decomposes(F.log_softmax)
def functional_log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    return torch.log_softmax(input, _dim_of("log_softmax", input, dim), dtype)


@RULES.decomposes(F.softmin)
def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    return torch.softmax(-input, _dim_of("softmin", input, dim), dtype)


def _dim_of(name: str, input: Tensor, dim: int | None) -> int:
    """PyTorch's own choice, and its warning, where none is given."""
    if dim is not None:
        return dim
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to "
        "include dim=X as an argument.",
        stacklevel=2,
    )
    return 0 if input.dim() in (0, 1, 3) else 1


@RULES.decomposes(*spellings("logaddexp"))
def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    return torch.logsumexp(torch.stack(torch.broadcast_tensors(input, other)), 0)


@RULES.decomposes(*spellings("logaddexp2"))
def logaddexp2(input: Tensor, other: Tensor) -> Tensor:
    """log2(2^a + 2^b)."""
    both = torch.stack(torch.broadcast_tensors(input, other))
    return torch.logsumexp(both * log(2), 0) / log(2)


@RULES.decomposes(*spellings("logcumsumexp"))
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """Its n prefixes side by side: n times the memory of the input."""
    if input.dim() == 0:
        return input.clone()
    count = input.shape[dim]
    later = torch.ones(count, count, dtype=torch.bool, device=input.device).triu(1)
    prefixes = input.movedim(dim, -1).unsqueeze(-2).masked_fill(later, -torch.inf)
    return torch.logsumexp(prefixes, -1).movedim(-1, dim)
