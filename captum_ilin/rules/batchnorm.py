"""Batch and instance norm: affine with running statistics, else their own statistics held.

Running statistics are read, never updated.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.activity import is_active
from captum_ilin.errors import TrainingModeWarning
from captum_ilin.holding import hold, is_replaying
from captum_ilin.rules.normalization import by_channel, standardized
from captum_ilin.ruletable import RuleTable
from captum_ilin.slope import Slope, sloped
from captum_ilin.tangent import tangent
from captum_ilin.warning import warn

__all__ = ["EXPLICIT", "RULES", "by_running_statistics", "warn_of_batch_statistics"]

RULES = RuleTable()
EXPLICIT = RuleTable()  # for tables that do not hold the statistics


@RULES.freezes(F.instance_norm)
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
    """Instance norm (Ulyanov et al. 2016); running statistics are read, never updated."""
    if not use_input_stats:
        return by_running_statistics(input, running_mean, running_var, weight, bias, eps)
    return by_channel(standardized(input, list(range(2, input.dim())), eps), weight, bias)


@RULES.freezes(F.batch_norm)
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
    """Batch norm (Ioffe & Szegedy 2015); running statistics are read, never updated."""
    if not training:
        return by_running_statistics(input, running_mean, running_var, weight, bias, eps)
    warn_of_batch_statistics()
    dims = [dim for dim in range(input.dim()) if dim != 1]
    return by_channel(standardized(input, dims, eps), weight, bias)


def by_running_statistics(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Tensor:
    """y = D z + c channel by channel, D = weight / √(variance + ε), where z alone is active."""
    others = (running_mean, running_var, weight, bias)
    if hold(lambda: any(map(is_active, others))):
        return _batch_norm(input, *others, eps=eps)

    def run(input: Tensor) -> tuple[Tensor, Slope]:
        value = F.batch_norm(input, *others, eps=eps)
        assert running_var is not None  # or PyTorch had refused
        precise = torch.promote_types(running_var.dtype, torch.float32)
        scale = (running_var.to(precise) + eps).rsqrt()
        scale = scale if weight is None else scale * weight
        scale = scale.view(-1, *[1] * (input.dim() - 2))
        return value, Slope(_scaled, _scaled, (scale,))

    return sloped(run, input)


def _scaled(vector: Tensor, scale: Tensor) -> Tensor:
    return (vector * scale).to(vector.dtype)


def _batch_norm(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """PyTorch's own, whose gradient is laid out in memory as its input is.

    For a batch of one PyTorch 2.13 mistakes a layout for another on the CPU, and reads the
    gradient in the wrong order: for instance where a transpose follows.
    """
    result = F.batch_norm(input, *args, **kwargs)
    return _with_gradient_laid_out(result, channels_last=_is_channels_last(input))


def _instance_norm(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The same, which PyTorch computes as batch norm of a batch of one."""
    result = F.instance_norm(input, *args, **kwargs)
    return _with_gradient_laid_out(result, channels_last=False)


def _with_gradient_laid_out(result: Tensor, *, channels_last: bool) -> Tensor:
    def laid_out(slope: Tensor | None) -> Tensor | None:
        if slope is None:
            return None
        if channels_last:  # spelled so that vmap takes it
            return slope.movedim(1, -1).contiguous().movedim(-1, 1)
        return slope.contiguous()

    if result.requires_grad:
        result.register_hook(laid_out)
    return result


def _is_channels_last(input: Tensor) -> bool:
    if input.dim() not in (4, 5) or input.is_contiguous():
        return False
    return input.movedim(1, -1).is_contiguous()


def warn_of_batch_statistics() -> None:
    """Of a batch norm in training mode."""
    if not is_replaying():
        warn(
            TrainingModeWarning,
            "batch_norm ran in training mode: its statistics come from this batch, so each "
            "row's map depends on the other rows. Call model.eval() first.",
        )


@EXPLICIT.freezes(F.batch_norm)
def batch_norm_tangent(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """The tangent of batch norm; running statistics are read, never updated."""
    if training:
        warn_of_batch_statistics()
        running_mean = running_var = None
    return tangent(
        _batch_norm, input, running_mean, running_var, weight, bias, training, momentum, eps
    )


@EXPLICIT.freezes(F.instance_norm)
def instance_norm_tangent(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """The tangent of instance norm; running statistics are read, never updated."""
    if use_input_stats:
        running_mean = running_var = None
    return tangent(
        _instance_norm,
        input,
        running_mean,
        running_var,
        weight,
        bias,
        use_input_stats,
        momentum,
        eps,
    )


@RULES.decomposes(torch.batch_norm)
def torch_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


@RULES.decomposes(torch.instance_norm)
def torch_instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    return F.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )
