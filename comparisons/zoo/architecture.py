"""``Architecture``: how to build one network of the zoo offline, and what to feed it.

Weights are random, biases too, and batch norm is calibrated on random inputs: otherwise F and
b shrink to zero and every relative error with them. Nothing here knows one network from
another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Architecture", "calibrate", "randomize"]


@dataclass(frozen=True)
class Architecture:
    """A constructor, the shapes of its inputs, and which of its outputs is explained.

    Attributes:
        name, library: its line in the table.
        build: makes the network, with random weights.
        shapes: of the inputs, without the batch.
        read: calls the network on its inputs and returns one tensor.
        bias_free: no constant enters additively, so F = <W, x>.
    """

    name: str
    library: str
    build: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    read: Callable[..., Tensor]
    bias_free: bool = False

    def network(self) -> nn.Module:
        """The network in float32, in evaluation mode; the same every time."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = self.build()
            randomize(network)
            calibrate(network, lambda: self.read(network, *self.inputs(8)))
        return network

    def inputs(self, batch: int) -> tuple[Tensor, ...]:
        """Standard normal images or embeddings; the same every time."""
        generator = torch.Generator().manual_seed(1)
        return tuple(torch.randn(batch, *shape, generator=generator) for shape in self.shapes)

    def forward(self, network: nn.Module) -> Callable[..., Tensor]:
        """``network`` as a function from its inputs to the outputs explained."""

        def forward(*inputs: Tensor) -> Tensor:
            return self.read(network, *inputs)

        return forward


@torch.no_grad()
def randomize(network: nn.Module) -> None:
    """Random numbers for what starts at zero or one; weights that let a signal pass."""
    for parameter in network.parameters():
        if not parameter.numel():
            continue
        if parameter.numel() == 1 or parameter.std() == 0:
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
        if parameter.dim() > 1:
            _widen(parameter)
    for module in network.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(bias, nn.Parameter):
            nn.init.normal_(bias, std=0.1)
        if isinstance(weight, nn.Parameter) and "Norm" in type(module).__name__:
            nn.init.normal_(weight, mean=1.0, std=0.1)


def _widen(weight: Tensor) -> None:
    """A weight too small for a signal to pass is scaled to 1/√fan-in."""
    wanted = (weight.shape[0] / weight.numel()) ** 0.5
    size = float(weight.std())
    if size < wanted / 2:
        weight.mul_(wanted / size)


def calibrate(network: nn.Module, forward: Callable[[], Tensor]) -> None:
    """Batch statistics of random inputs, as a trained network has them."""
    for module in network.eval().modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
            module.train()
    with torch.no_grad():
        forward()
    network.eval()
