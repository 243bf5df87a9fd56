"""Normalisation between two points: its statistics differ there, and that is accounted for.

An active weight or bias is a factor or a summand like any other.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from captum_ilin.activity import is_active
from captum_ilin.rule import Kind, Rule
from captum_ilin.rules import batchnorm
from captum_ilin.rules.normalization import last
from captum_ilin.rules.references.standardized import RULES as STANDARDIZED
from captum_ilin.rules.references.standardized import standardized
from captum_ilin.rules.rescale import rescaled
from captum_ilin.rules.spellings import spellings, writings
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Normalization = Callable[[Tensor | None, Tensor | None], Tensor]

__all__ = ["RULES"]

_OWN = RuleTable()


def _scaled(
    normalize: Normalization, weight: Tensor | None, bias: Tensor | None, shape: Sequence[int]
) -> Tensor:
    """``normalize`` with a constant weight and bias; active ones, like ``shape``, follow."""
    if not (is_active(weight) or is_active(bias)):
        return normalize(weight, bias)
    result = normalize(None, None)
    if weight is not None:
        result = torch.mul(result, weight.reshape(shape))
    return result if bias is None else result + bias.reshape(shape)


@_OWN.decomposes(F.layer_norm)
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    shape = list(normalized_shape)

    def normalize(weight: Tensor | None, bias: Tensor | None) -> Tensor:
        def plain(input: Tensor) -> Tensor:
            return F.layer_norm(input, shape, weight, bias, eps)

        return standardized(input, plain, last(input, len(shape)), eps, weight=weight)

    return _scaled(normalize, weight, bias, shape)


@_OWN.decomposes(F.rms_norm, torch.rms_norm)
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    shape = list(normalized_shape)
    eps = torch.finfo(input.dtype).eps if eps is None else eps

    def normalize(weight: Tensor | None, _: Tensor | None) -> Tensor:
        def plain(input: Tensor) -> Tensor:
            return F.rms_norm(input, shape, weight, eps)

        return standardized(
            input, plain, last(input, len(shape)), eps, weight=weight, is_centred=False
        )

    return _scaled(normalize, weight, None, shape)


@_OWN.decomposes(F.group_norm)
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    layout = [len(input), num_groups, input.shape[1] // num_groups, *input.shape[2:]]
    dims = list(range(2, len(layout)))

    def normalize(weight: Tensor | None, bias: Tensor | None) -> Tensor:
        def plain(input: Tensor) -> Tensor:
            return F.group_norm(input, num_groups, weight, bias, eps)

        by_group = [num_groups, -1, *[1] * (input.dim() - 2)]
        factor = None if weight is None else weight.detach().reshape(by_group)
        return standardized(input, plain, dims, eps, weight=factor, layout=layout)

    return _scaled(normalize, weight, bias, _by_channel(input))


def _by_channel(input: Tensor) -> list[int]:
    return [-1, *[1] * (input.dim() - 2)]


@_OWN.decomposes(F.instance_norm)
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Running statistics are read, never updated."""
    if not use_input_stats:
        return _by_statistics(input, running_mean, running_var, weight, bias, eps)
    instance = partial(F.instance_norm, use_input_stats=True, eps=eps)
    dims = list(range(2, input.dim()))
    return _by_own_statistics(instance, input, weight, bias, dims, eps)


@_OWN.decomposes(F.batch_norm)
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Running statistics are read, never updated."""
    if not training:
        return _by_statistics(input, running_mean, running_var, weight, bias, eps)
    batchnorm.warn_of_batch_statistics()

    batch = partial(F.batch_norm, running_mean=None, running_var=None, training=True, eps=eps)
    dims = [dim for dim in range(input.dim()) if dim != 1]
    return _by_own_statistics(batch, input, weight, bias, dims, eps)


def _by_own_statistics(
    op: Callable[..., Tensor],
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    dims: list[int],
    eps: float,
) -> Tensor:
    shape = _by_channel(input)

    def normalize(weight: Tensor | None, bias: Tensor | None) -> Tensor:
        factor = None if weight is None else weight.detach().reshape(shape)
        plain = partial(op, weight=weight, bias=bias)
        return standardized(input, plain, dims, eps, weight=factor)

    return _scaled(normalize, weight, bias, shape)


def _by_statistics(
    input: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Tensor:
    """Affine in z; in active statistics, which a model may compute, spelled out."""
    if not any(map(is_active, (mean, variance, weight, bias))):
        return F.batch_norm(input, mean, variance, weight, bias, False, 0.0, eps)
    assert mean is not None  # or PyTorch had refused
    assert variance is not None
    shape = _by_channel(input)
    rate = torch.rsqrt(variance + eps).reshape(shape)
    result = torch.mul(input - mean.reshape(shape), rate)
    if weight is not None:
        result = torch.mul(result, weight.reshape(shape))
    return result if bias is None else result + bias.reshape(shape)


def _reads_running_statistics(
    input: Tensor,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    *args: Any,
    **kwargs: Any,
) -> bool:
    return not training


def _shifted(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    return batchnorm.by_running_statistics(input, running_mean, running_var, weight, bias, eps)


_AFFINE = {
    F.batch_norm: replace(
        _OWN[F.batch_norm],
        alone=Rule(_shifted, Kind.AFFINE, "batch_norm"),
        alone_where=_reads_running_statistics,
    )
}


@_OWN.decomposes(F.normalize)
def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None
) -> Tensor:
    """z / max(‖z‖, ε)."""
    return input / torch.linalg.vector_norm(input, p, dim, keepdim=True).clamp_min(eps)


@_OWN.decomposes(F.local_response_norm)
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """z · (k + α · mean of squares nearby)^−β (Krizhevsky et al. 2012)."""
    squares = input.square().flatten(2).unsqueeze(1)
    padded = F.pad(squares, (0, 0, size // 2, (size - 1) // 2))
    mean = F.avg_pool2d(padded, (size, 1), stride=1).squeeze(1).reshape(input.shape)
    return torch.mul(input, responding(mean * alpha + k, beta))


def responding(total: Tensor, beta: float) -> Tensor:
    """s^−β, as an op of its own."""
    if not has_torch_function((total,)):
        return total.pow(-beta)
    result: Tensor = handle_torch_function(responding, (total,), total, beta)
    return result


@_OWN.decomposes(*spellings("renorm"))
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """z · scale, the scale that takes each slice's norm down to ``maxnorm``."""
    dims = [other for other in range(input.dim()) if other != dim % input.dim()]
    norm = torch.linalg.vector_norm(input, p, dims, keepdim=True)
    return torch.mul(input, shortening(norm, maxnorm))


@_OWN.decomposes(*writings("renorm"))
def renorm_(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    return input.copy_(torch.renorm(input, p, dim, maxnorm))


def shortening(norm: Tensor, maxnorm: float) -> Tensor:
    """What `renorm` multiplies a slice of this norm by, as an op of its own."""
    if not has_torch_function((norm,)):
        return torch.where(norm > maxnorm, maxnorm / (norm + 1e-7), torch.ones_like(norm))
    result: Tensor = handle_torch_function(shortening, (norm,), norm, maxnorm)
    return result


for _function in (responding, shortening):
    _OWN.freezes(_function)(partial(rescaled, _function))

RULES = STANDARDIZED | _OWN | _AFFINE
