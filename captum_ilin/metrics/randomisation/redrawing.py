"""How a layer forgets what it learned: its parameters are drawn again.

A module with ``reset_parameters`` is given the values that PyTorch starts it with. For others
(raw ``nn.Parameter``, ``nn.MultiheadAttention``) matrices and kernels come from
N(0, 1/(3 · fan-in)), the variance of PyTorch's start of a linear layer, U(±1/√fan-in); vectors
(biases, gains, class tokens) from a normal with the mean and the deviation that their own
values have, so that a gain stays about as large as it was.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from captum_ilin.metrics.chance import drawing_from
from captum_ilin.metrics.errors import MetricInputError

if TYPE_CHECKING:
    from typing import TypeAlias

__all__ = ["BatchNorm", "redraw"]

BatchNorm: TypeAlias = 'Literal["keep", "reset"]'


def redraw(module: nn.Module, seed: int, *, batch_norm: BatchNorm = "reset") -> None:
    """Draw a module's own parameters again, in place; its children keep theirs.

    Everything is drawn on the CPU, so a seed gives the same values on every device. PyTorch's
    own generators are left as they were.

    Args:
        module: what is randomised.
        seed: of the draw.
        batch_norm: "reset" gives batch norm's running statistics their start (mean 0,
            variance 1), "keep" leaves those of the training data. Norms' gains and biases
            start at 1 and 0, so a norm is reset rather than randomised.

    Raises:
        MetricInputError: ``batch_norm`` is neither.

    >>> import torch
    >>> from captum_ilin.metrics import redraw
    >>> layer = torch.nn.Linear(2, 2)
    >>> before = layer.weight.clone()
    >>> redraw(layer, 1)
    >>> torch.equal(before, layer.weight)
    False
    """
    if batch_norm not in ("keep", "reset"):
        raise MetricInputError(f'batch_norm: expected "keep" or "reset", got {batch_norm!r}.')
    with drawing_from(seed), torch.no_grad():
        if callable(getattr(module, "reset_parameters", None)):
            _restart(module, batch_norm)
        else:
            for parameter in module.parameters(recurse=False):
                parameter.copy_(_drawn(parameter))


def _restart(module: nn.Module, batch_norm: BatchNorm) -> None:
    fresh = _separate(module)
    fresh.reset_parameters()
    for name, parameter in module.named_parameters(recurse=False):
        parameter.copy_(getattr(fresh, name))
    if batch_norm == "reset" and isinstance(module, _NormBase):
        for name, buffer in module.named_buffers(recurse=False):
            buffer.copy_(getattr(fresh, name))


def _separate(module: nn.Module) -> Any:
    """The module on the CPU, sharing nothing that a reset changes; faster than a deep copy."""
    fresh = copy.copy(module)
    fresh.__dict__["_parameters"] = {
        name: None if parameter is None else nn.Parameter(parameter.detach().cpu().clone())
        for name, parameter in module._parameters.items()
    }
    fresh.__dict__["_buffers"] = {
        name: None if buffer is None else buffer.cpu().clone()
        for name, buffer in module._buffers.items()
    }
    fresh.__dict__["_modules"] = copy.deepcopy(module._modules)
    return fresh


def _drawn(parameter: Tensor) -> Tensor:
    """Values of the parameter's shape, drawn on the CPU."""
    sides = [side for side in parameter.shape if side > 1]
    noise = torch.randn(parameter.shape, dtype=torch.float64)
    if len(sides) > 1:
        return noise / math.sqrt(3 * math.prod(sides[1:]))
    own = parameter.detach().cpu().double()
    return own.mean() + own.std(correction=0) * noise
