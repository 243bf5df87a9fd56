"""Reference rows: maps that know nothing of the network, and one that is wrong on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin import InstanceWiseLinearization
from comparisons.methods.ilin import METHODS as ILIN_METHODS
from comparisons.methods.method import Method

if TYPE_CHECKING:
    from collections.abc import Callable

    from comparisons.methods.method import Explain, Setting

__all__ = ["METHODS", "sobel"]


class Control:
    """An explainer that is a function of inputs and target.

    Args:
        attributions: (inputs, target) → (batch, \\*features)
    """

    multiplies_by_inputs = True

    def __init__(self, attributions: Callable[[Tensor, Any], Tensor]) -> None:
        self.attributions = attributions

    def attribute(self, inputs: Tensor, target: Any = None) -> Tensor:
        """(batch, \\*features)"""
        return self.attributions(inputs.detach(), target)


def _random(setting: Setting) -> Explain:
    """Fresh noise at every call, from a generator that begins at the setting's seed."""
    generator = torch.Generator().manual_seed(setting.seed)

    def noise(inputs: Tensor, target: Any) -> Tensor:
        return torch.randn(inputs.shape, generator=generator).to(inputs)

    return lambda model: Control(noise)


def _input_only(setting: Setting) -> Explain:
    return lambda model: Control(
        lambda inputs, target: sobel(inputs) if inputs.dim() == 4 else inputs.abs()
    )


def sobel(images: Tensor) -> Tensor:
    """The magnitude of the brightness gradient in each channel, borders repeated.

    Args:
        images: (batch, channels, height, width)
    """
    across = images.new_tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]) / 4
    kernels = torch.stack([across, across.T])[:, None]
    batch, channels, height, width = images.shape
    padded = F.pad(images.reshape(-1, 1, height, width), (1, 1, 1, 1), mode="replicate")
    edges = F.conv2d(padded, kernels).square().sum(1).sqrt()
    return edges.reshape(batch, channels, height, width)


def _constant(setting: Setting) -> Explain:
    return lambda model: Control(lambda inputs, target: torch.ones_like(inputs))


def _sign_flipped(setting: Setting) -> Explain:
    def explain(model: Any) -> Control:
        ilin = InstanceWiseLinearization(model)
        return Control(lambda inputs, target: -ilin.attribute(inputs, target=target))

    return explain


METHODS = (
    Method(
        "random",
        _random,
        is_contribution=True,
        about="standard normal noise, fresh at every call",
        is_control=True,
    ),
    Method(
        "input_only",
        _input_only,
        is_contribution=True,
        about="edges of the image (Sobel), |x| of other inputs; blind to the network",
        is_control=True,
    ),
    Method(
        "constant",
        _constant,
        is_contribution=True,
        about="1 everywhere",
        is_control=True,
    ),
    Method(
        "sign_flipped",
        _sign_flipped,
        is_contribution=True,
        about="−ILIN with ILIN's b: its declared sum is wrong by 2 |W x|",
        offset=ILIN_METHODS[0].offset,
        is_control=True,
    ),
)
