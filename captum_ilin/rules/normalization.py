"""Normalisation: scale statistics held, centring linear.

y = (z − mean z) · rstd0 · weight + bias, with rstd0 = 1/√(var z0 + ε).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.activity import is_active
from captum_ilin.holding import hold, is_replaying
from captum_ilin.rules.primitives import split
from captum_ilin.rules.spellings import spellings, writings
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "RULES",
    "by_channel",
    "inverse_deviation",
    "inverse_root_mean_square",
    "last",
    "renorm_scale",
    "response_scale",
    "scaled",
    "standardized",
]

RULES = RuleTable()


def standardized(input: Tensor, dims: list[int], eps: float) -> Tensor:
    """(z − mean z) · rstd0 over ``dims``."""
    return (input - input.mean(dims, keepdim=True)) * hold(inverse_deviation, input, dims, eps)


def inverse_deviation(input: Tensor, dims: list[int], eps: float) -> Tensor:
    return torch.rsqrt(input.var(dims, correction=0, keepdim=True) + eps)


def scaled(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        flowing = hold(lambda: is_active(weight))
        input = split(torch.mul, input, weight, flowing=[0, 1]) if flowing else input * weight
    return input if bias is None else input + bias


def last(input: Tensor, count: int) -> list[int]:
    return list(range(input.dim() - count, input.dim()))


@RULES.freezes(F.layer_norm)
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Layer norm (Ba et al. 2016)."""
    dims = last(input, len(normalized_shape))
    if hold(lambda: is_active(input) and not (is_active(weight) or is_active(bias))):
        return _layer_norm_of_input(input, normalized_shape, weight, bias, eps, dims)
    return scaled(standardized(input, dims, eps), weight, bias)


def _layer_norm_of_input(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    dims: list[int],
) -> Tensor:
    """Layer norm with constant weight and bias: one fused kernel forward."""
    if is_replaying():
        centred = (input - input.mean(dims, keepdim=True)) * hold(None)
        centred = centred if weight is None else centred * weight
        return centred if bias is None else centred + bias
    shape = list(normalized_shape)
    value, _, inverse = torch.native_layer_norm(input.detach(), shape, weight, bias, eps)
    return _FusedLayerNorm.apply(input, weight, hold(inverse.to(input.dtype)), [value], dims)


class _FusedLayerNorm(torch.autograd.Function):
    """The fused kernel's value; backward (u · weight · rstd0), centred."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor | None,
        inverse: Tensor,
        value: list[Tensor],
        dims: list[int],
    ) -> Tensor:
        ctx.save_for_backward(weight, inverse)
        ctx.dims = dims
        return value[0]  # in a list, so that it is no argument: those may not be written to

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> tuple[Any, ...]:
        weight, inverse = ctx.saved_tensors
        scaled = vector * inverse if weight is None else (vector * weight).mul_(inverse)
        return scaled.sub_(scaled.mean(ctx.dims, keepdim=True)), None, None, None, None


@RULES.decomposes(torch.layer_norm)
def torch_layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    return F.layer_norm(input, normalized_shape, weight, bias, eps)


@RULES.freezes(F.rms_norm, torch.rms_norm)
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """RMS norm (Zhang & Sennrich 2019)."""
    if eps is None:
        eps = torch.finfo(input.dtype).eps
    dims = last(input, len(normalized_shape))
    return scaled(input * hold(inverse_root_mean_square, input, dims, eps), weight, None)


def inverse_root_mean_square(input: Tensor, dims: list[int], eps: float) -> Tensor:
    return torch.rsqrt(input.square().mean(dims, keepdim=True) + eps)


@RULES.freezes(F.group_norm)
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Group norm (Wu & He 2018)."""
    grouped = input.reshape(input.shape[0], num_groups, -1)
    centred = (grouped - grouped.mean(2, keepdim=True)).reshape(input.shape)
    scale = hold(inverse_deviation, grouped, [2], eps)
    scale = scale.repeat_interleave(input.shape[1] // num_groups, 1)
    scale = scale.view(*input.shape[:2], *[1] * (input.dim() - 2))
    return by_channel(centred * scale, weight, bias)  # no view: the model may write to it


@RULES.decomposes(torch.group_norm)
def torch_group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    return F.group_norm(input, num_groups, weight, bias, eps)


def by_channel(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    shape = (-1,) + (1,) * (input.dim() - 2)
    return scaled(
        input,
        None if weight is None else weight.view(shape),
        None if bias is None else bias.view(shape),
    )


@RULES.freezes(F.normalize)
def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None
) -> Tensor:
    """z / max(‖z0‖, ε)."""
    return input / hold(lambda: input.detach().norm(p, dim, keepdim=True).clamp_min(eps))


@RULES.freezes(F.local_response_norm)
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """z · scale0 (Krizhevsky et al. 2012)."""
    return input * hold(response_scale, input, size, alpha, beta, k)


def response_scale(input: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    ones = torch.ones_like(input)
    squares = input.square().flatten(2).unsqueeze(1)
    before, after = size // 2, (size - 1) // 2
    mean = F.avg_pool2d(F.pad(squares, (0, 0, before, after)), (size, 1), stride=1).squeeze(1)
    return ones / (mean.reshape(input.shape) * alpha + k).pow(beta)


@RULES.freezes(*spellings("renorm"), inplace=writings("renorm"))
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """z · scale0, the scale that takes each slice's norm down to ``maxnorm``."""
    return input * hold(renorm_scale, input, p, dim, maxnorm)


def renorm_scale(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    dims = [other for other in range(input.dim()) if other != dim % input.dim()]
    norm = torch.linalg.vector_norm(input, p, dims, keepdim=True)
    return torch.where(norm > maxnorm, maxnorm / (norm + 1e-7), torch.ones_like(norm))
