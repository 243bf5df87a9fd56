"""Norms as the products they are, z · s(z), for tables that hold no scale statistic.

y = ½ · z · s0 + ½ · z0 · [s0 + ∂s (z − z0)]: half through what is scaled, half through the
tangent of the statistic s. With running statistics nothing is to be split.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.rules import batchnorm
from captum_ilin.rules.normalization import (
    by_channel,
    inverse_deviation,
    inverse_root_mean_square,
    last,
    renorm_scale,
    response_scale,
    scaled,
)
from captum_ilin.rules.primitives import split
from captum_ilin.rules.spellings import spellings, writings
from captum_ilin.ruletable import RuleTable
from captum_ilin.tangent import tangent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["EXPLICIT"]

EXPLICIT = RuleTable()


def _split(signal: Tensor, statistic: Callable[..., Tensor], *args: Any) -> Tensor:
    """½ through the signal, ½ through the statistic's tangent."""
    return split(torch.mul, signal, tangent(statistic, *args), flowing=[0, 1])


def _standardized(input: Tensor, dims: list[int], eps: float) -> Tensor:
    centred = input - input.mean(dims, keepdim=True)
    return _split(centred, inverse_deviation, input, dims, eps)


@EXPLICIT.freezes(F.layer_norm)
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    dims = last(input, len(normalized_shape))
    return scaled(_standardized(input, dims, eps), weight, bias)


@EXPLICIT.freezes(F.rms_norm, torch.rms_norm)
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    if eps is None:
        eps = torch.finfo(input.dtype).eps
    dims = last(input, len(normalized_shape))
    return scaled(_split(input, inverse_root_mean_square, input, dims, eps), weight, None)


@EXPLICIT.freezes(F.group_norm)
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    grouped = input.reshape(input.shape[0], num_groups, -1)
    shares = _standardized(grouped, [2], eps).reshape(input.shape)
    return by_channel(shares, weight, bias).clone()  # no view: the model may write to it


@EXPLICIT.freezes(F.instance_norm)
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
    if not use_input_stats:
        running = (running_mean, running_var, weight, bias)
        return batchnorm.instance_norm(input, *running, False, momentum, eps)
    return by_channel(_standardized(input, list(range(2, input.dim())), eps), weight, bias)


@EXPLICIT.freezes(F.batch_norm)
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
    if not training:
        running = (running_mean, running_var, weight, bias)
        return batchnorm.batch_norm(input, *running, False, momentum, eps)
    batchnorm.warn_of_batch_statistics()
    dims = [dim for dim in range(input.dim()) if dim != 1]
    return by_channel(_standardized(input, dims, eps), weight, bias)


@EXPLICIT.freezes(F.normalize)
def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None
) -> Tensor:
    return _split(input, _inverse_norm, input, p, dim, eps)


def _inverse_norm(input: Tensor, p: float, dim: int, eps: float) -> Tensor:
    return input.norm(p, dim, keepdim=True).clamp_min(eps).reciprocal()


@EXPLICIT.freezes(F.local_response_norm)
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    return _split(input, response_scale, input, size, alpha, beta, k)


@EXPLICIT.freezes(*spellings("renorm"), inplace=writings("renorm"))
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    return _split(input, renorm_scale, input, p, dim, maxnorm)
