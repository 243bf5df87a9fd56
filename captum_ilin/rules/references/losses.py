"""Losses by their definitions, in the letters of torch.nn's documentation.

Each is a sum of functions of single elements, or made from one, so that it has its rules
between two points.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import _reduction

from captum_ilin.rules.spellings import functions, spellings
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RULES"]

RULES = RuleTable()
_Flag = bool | None


def _reduced(
    values: Tensor, reduction: Any, size_average: _Flag = None, reduce: _Flag = None
) -> Tensor:
    """All values, their sum or their mean."""
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    if reduction in ("mean", 1):
        return values.mean()
    return values.sum() if reduction in ("sum", 2) else values


def _weighed(values: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    if weight is None:
        return _reduced(values, reduction)
    weights = weight.expand_as(values)
    total = _reduced(values * weights, "none" if reduction == "none" else "sum")
    return total / weights.sum() if reduction == "mean" else total


@RULES.decomposes(F.l1_loss)
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: _Flag = None,
    reduce: _Flag = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    return _weighed((input - target).abs(), weight, reduction)


def _huber(difference: Tensor, delta: float) -> Tensor:
    """½ z² for |z| ≤ δ, and δ (|z| − ½ δ) beyond: a clamped z times what is left of it."""
    size = difference.abs()
    near = size.clamp(max=delta)
    return near.square() / 2 + delta * (size - near)


@RULES.decomposes(F.huber_loss)
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    return _weighed(_huber(input - target, delta), weight, reduction)


@RULES.decomposes(F.smooth_l1_loss)
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: _Flag = None,
    reduce: _Flag = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    difference = input - target
    values = difference.abs() if beta == 0 else _huber(difference, beta) / beta
    return _reduced(values, reduction, size_average, reduce)


@RULES.decomposes(F.binary_cross_entropy)
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: _Flag = None,
    reduce: _Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """Logarithms of at least −100."""
    first = input.log().clamp(min=-100.0) * target
    second = torch.log1p(-input).clamp(min=-100.0) * (1 - target)
    values = -(first + second)
    values = values if weight is None else values * weight
    return _reduced(values, reduction, size_average, reduce)


@RULES.decomposes(F.binary_cross_entropy_with_logits)
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: _Flag = None,
    reduce: _Flag = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    positive = F.logsigmoid(input) * target
    positive = positive if pos_weight is None else positive * pos_weight
    values = -(positive + F.logsigmoid(-input) * (1 - target))
    values = values if weight is None else values * weight
    return _reduced(values, reduction, size_average, reduce)


@RULES.decomposes(F.kl_div)
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: _Flag = None,
    reduce: _Flag = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """t (log t − z), and e^t (t − z) of logarithms t."""
    own = torch.exp(target) * target if log_target else torch.xlogy(target, target)
    weight = torch.exp(target) if log_target else target
    values = own - weight * input
    if reduction == "batchmean":
        return values.sum() / len(input)
    return _reduced(values, reduction, size_average, reduce)


@RULES.decomposes(F.nll_loss)
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: _Flag = None,
    ignore_index: int = -100,
    reduce: _Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """−w_t z_t of the class t; the mean is weighted."""
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    classes = min(1, input.dim() - 1)
    kept = target != ignore_index
    place = target.where(kept, 0)
    chosen = input.gather(classes, place.unsqueeze(classes)).squeeze(classes)
    ones = torch.ones_like(place, dtype=input.dtype)
    weights = (ones if weight is None else weight[place]) * kept
    values = -chosen * weights
    if reduction == "mean":
        return values.sum() / weights.sum()
    return _reduced(values, reduction)


@RULES.decomposes(F.cross_entropy)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: _Flag = None,
    ignore_index: int = -100,
    reduce: _Flag = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−Σ w_c p_c log softmax(z)_c, p one-hot of a class, smoothed."""
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    classes = min(1, input.dim() - 1)
    logarithms = F.log_softmax(input, classes)
    if target.is_floating_point():
        return _cross_entropy_of_shares(
            logarithms, target, weight, reduction, label_smoothing, classes
        )
    own = F.nll_loss(logarithms, target, weight, None, ignore_index, None, reduction)
    if not label_smoothing:
        return own
    kept = target != ignore_index
    place = target.where(kept, 0)
    ones = torch.ones_like(place, dtype=input.dtype)
    weights = (ones if weight is None else weight[place]) * kept
    count = input.shape[classes]
    spread = -_weighed_classes(logarithms, weight, classes).sum(classes) * kept
    even = spread.sum() / weights.sum() if reduction == "mean" else _reduced(spread, reduction)
    return (1 - label_smoothing) * own + label_smoothing / count * even


def _cross_entropy_of_shares(
    logarithms: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    label_smoothing: float,
    classes: int,
) -> Tensor:
    count = logarithms.shape[classes]
    shares = target * (1 - label_smoothing) + label_smoothing / count
    values = -(_weighed_classes(logarithms, weight, classes) * shares).sum(classes)
    if reduction == "mean":
        return values.sum() / max(values.numel(), 1)
    return _reduced(values, reduction)


def _weighed_classes(values: Tensor, weight: Tensor | None, classes: int) -> Tensor:
    if weight is None:
        return values
    return values * weight.reshape(-1, *[1] * (values.dim() - 1 - classes))


@RULES.decomposes(*functions("functional", "linear_cross_entropy"))
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    options: Any = None,
    ignore_index: int | None = None,
    **named: Any,
) -> Tensor:
    rows = linear_weight.reshape(-1, linear_weight.shape[-1])
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = F.linear(input, rows, bias)
    shape = (*logits.shape[:-1], *linear_weight.shape[:-1])
    if ignore_index is not None:
        named["ignore_index"] = ignore_index
    return F.cross_entropy(logits.reshape(shape), target, **named)


@RULES.decomposes(F.gaussian_nll_loss)
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """½ (log v + (z − t)² / v), v of at least ε."""
    if not isinstance(var, Tensor):
        var = torch.full_like(input.detach(), var)
    elif var.dim() < input.dim():
        var = var.unsqueeze(-1)
    var = var.clamp(min=eps)
    values = (var.log() + (input - target).square() / var) / 2
    values = values + math.log(2 * math.pi) / 2 if full else values
    return _reduced(values, reduction)


@RULES.decomposes(F.poisson_nll_loss)
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: _Flag = None,
    eps: float = 1e-8,
    reduce: _Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """e^z − t z, or z − t log(z + ε); Stirling's term of t > 1."""
    values = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + (2 * math.pi * target).log() / 2
        values = values + stirling.masked_fill(target <= 1, 0.0)
    return _reduced(values, reduction, size_average, reduce)


@RULES.decomposes(F.soft_margin_loss)
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: _Flag = None,
    reduce: _Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + e^(−t z))."""
    return _reduced(-F.logsigmoid(target * input), reduction, size_average, reduce)


@RULES.decomposes(F.multilabel_soft_margin_loss)
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: _Flag = None,
    reduce: _Flag = None,
    reduction: str = "mean",
) -> Tensor:
    values = F.binary_cross_entropy_with_logits(input, target, weight, reduction="none")
    return _reduced(values.mean(-1), reduction, size_average, reduce)


@RULES.decomposes(F.hinge_embedding_loss)
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: _Flag = None,
    reduce: _Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """z where t = 1, and max(0, margin − z) where t = −1."""
    far = torch.relu(margin - input).masked_fill(target == 1, 0.0)
    values = far + input.masked_fill(target == -1, 0.0)
    return _reduced(values, reduction, size_average, reduce)


@RULES.decomposes(F.margin_ranking_loss)
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: _Flag = None,
    reduce: _Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin − t (z1 − z2))."""
    values = torch.relu(margin - target * (input1 - input2))
    return _reduced(values, reduction, size_average, reduce)


@RULES.decomposes(F.cosine_embedding_loss)
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: _Flag = None,
    reduce: _Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """1 − cos where t = 1, and max(0, cos − margin) where t = −1."""
    shared = 1e-12
    scale = ((input1.square().sum(-1) + shared) * (input2.square().sum(-1) + shared)).rsqrt()
    cosine = (input1 * input2).sum(-1) * scale
    near = (1 - cosine).masked_fill(target != 1, 0.0)
    values = near + torch.relu(cosine - margin).masked_fill(target != -1, 0.0)
    return _reduced(values, reduction, size_average, reduce)


@RULES.decomposes(F.multi_margin_loss)
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: _Flag = None,
    reduce: _Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ w_t max(0, margin − z_t + z_c)^p / C over the classes c other than t."""
    place = target.reshape(*input.shape[:-1], 1)
    gaps = torch.relu(input - input.gather(-1, place) + margin)
    gaps = gaps.square() if p == 2 else gaps
    gaps = gaps if weight is None else gaps * weight[place]
    others = torch.ones_like(gaps.detach()).scatter(-1, place, 0.0)
    return _reduced((gaps * others).mean(-1), reduction, size_average, reduce)


@RULES.decomposes(F.multilabel_margin_loss)
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: _Flag = None,
    reduce: _Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ max(0, 1 − z_t + z_c) / C over the targets t, up to the first −1, and all other c."""
    named = (target < 0).cumsum(-1) == 0
    place = target.where(named, 0)
    counts = torch.zeros_like(input.detach()).scatter_add(-1, place, named.to(input.dtype))
    gaps = torch.relu(1 - input.gather(-1, place).unsqueeze(-1) + input.unsqueeze(-2))
    pairs = named.unsqueeze(-1) & (counts == 0).unsqueeze(-2)
    values = (gaps * pairs).sum((-1, -2)) / input.shape[-1]
    return _reduced(values, reduction, size_average, reduce)


@RULES.decomposes(F.triplet_margin_with_distance_loss)
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + d(a, p) − d(a, n))."""
    distance = distance_function or F.pairwise_distance
    far = distance(anchor, negative)
    if swap:
        far = torch.minimum(far, distance(positive, negative))
    return _reduced(torch.relu(distance(anchor, positive) - far + margin), reduction)


@RULES.decomposes(F.triplet_margin_loss)
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: _Flag = None,
    reduce: _Flag = None,
    reduction: str = "mean",
) -> Tensor:
    values = triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda a, b: F.pairwise_distance(a, b, p, eps),
        margin=margin,
        swap=swap,
        reduction="none",
    )
    return _reduced(values, reduction, size_average, reduce)


def _kernel(name: str, define: Callable[..., Tensor], count: int) -> None:
    """Register the op behind ``define``, which takes ``count`` arguments and a number."""

    def kernel(*args: Any, **named: Any) -> Tensor:
        reduction = args[count] if len(args) > count else named.pop("reduction", 0)
        return _reduced(define(*args[:count], **named, reduction="none"), reduction)

    for op in spellings(name):
        RULES.decomposes(op)(kernel)


def _kernel_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: str = "none",
) -> Tensor:
    result: Tensor = binary_cross_entropy_with_logits(
        input, target, weight, reduction=reduction, pos_weight=pos_weight
    )
    return result


def _kernel_of_poisson(
    input: Tensor,
    target: Tensor,
    log_input: bool,
    full: bool,
    eps: float,
    reduction: str = "none",
) -> Tensor:
    result: Tensor = poisson_nll_loss(
        input, target, log_input, full, eps=eps, reduction=reduction
    )
    return result


_kernel("binary_cross_entropy_with_logits", _kernel_with_logits, 4)
_kernel("poisson_nll_loss", _kernel_of_poisson, 5)
_kernel("kl_div", kl_div, 2)
_kernel("hinge_embedding_loss", hinge_embedding_loss, 3)
_kernel("margin_ranking_loss", margin_ranking_loss, 4)
_kernel("cosine_embedding_loss", cosine_embedding_loss, 4)
_kernel("triplet_margin_loss", triplet_margin_loss, 7)
