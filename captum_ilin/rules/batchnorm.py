"""Batch and instance norm: affine with running statistics, else their own statistics held.

Running statistics are read, never updated.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.errors import TrainingModeWarning
from captum_ilin.holding import is_replaying
from captum_ilin.rules.normalization import by_channel, standardized
from captum_ilin.ruletable import RuleTable
from captum_ilin.tangent import tangent
from captum_ilin.warning import warn

__all__ = ["EXPLICIT", "RULES"]

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
        return F.batch_norm(input, running_mean, running_var, weight, bias, eps=eps)
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
        cudnn = torch.backends.cudnn.enabled
        return torch.batch_norm(
            input, weight, bias, running_mean, running_var, False, momentum, eps, cudnn
        )
    _warn_of_batch_statistics()
    dims = [dim for dim in range(input.dim()) if dim != 1]
    return by_channel(standardized(input, dims, eps), weight, bias)


def _warn_of_batch_statistics() -> None:
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
        _warn_of_batch_statistics()
        running_mean = running_var = None
    return tangent(
        F.batch_norm, input, running_mean, running_var, weight, bias, training, momentum, eps
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
        F.instance_norm,
        input,
        running_mean,
        running_var,
        weight,
        bias,
        use_input_stats,
        momentum,
        eps,
    )


@RULES.freezes(torch.batch_norm)
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
    return batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


@RULES.freezes(torch.instance_norm)
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
    return instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )
