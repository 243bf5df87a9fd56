"""The same function from another network: what a measure of an axiom compares it with.

Captum's module-based methods find the activations of a rewriting, because each is a module
that holds the model.
"""

from __future__ import annotations

import copy
from itertools import takewhile
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Padded", "Rolled", "Split", "rescaled", "threshold_of"]

_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU)  # φ(cz) = cφ(z) for c > 0, whatever their parameters
_CHANNEL_BY_CHANNEL = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
    *(nn.Dropout, nn.Dropout2d, nn.Identity, nn.Flatten),
)


class Split(nn.Module):
    """F(x) = F(ReLU(x − t) − ReLU(t − x) + t): the input split in two at t, and put together.

    Args:
        model: F.
        threshold: t, a number that no input value equals: at t itself ReLU has no derivative.
    """

    def __init__(self, model: nn.Module, threshold: float) -> None:
        super().__init__()
        self.model, self.threshold = model, threshold
        self.above, self.below = nn.ReLU(), nn.ReLU()
        self.training = model.training

    def forward(self, inputs: Tensor) -> Tensor:
        """The model's output."""
        parts = self.above(inputs - self.threshold) - self.below(self.threshold - inputs)
        output: Tensor = self.model(parts + self.threshold)
        return output


def threshold_of(inputs: Tensor) -> float:
    """Half-way between the two neighbouring values of the inputs that enclose their mean."""
    values = inputs.double().unique()
    if len(values) == 1:
        return float(values) + 1.0
    above = min(max(int((values < values.mean()).sum()), 1), len(values) - 1)
    return float(values[above - 1 : above + 1].mean())


def rescaled(model: nn.Module, seed: int = 0) -> nn.Module | None:
    """A copy with hidden units c times as large, and the weights that read them 1/c.

    c is ½, 1 or 2 for each unit: powers of two, so that the copy rounds as the model does.
    Rescaled is what stands in one ``nn.Sequential``: a linear layer or convolution, perhaps
    batch norm, ReLU, perhaps layers that keep channels apart, and a linear layer or
    convolution.

    Returns:
        None if the model has no such place.
    """
    generator = torch.Generator().manual_seed(seed)
    twin = copy.deepcopy(model)
    places = [place for module in twin.modules() for place in _places(module)]
    for writer, reader in places:
        exponents = torch.randint(-1, 2, (len(writer.weight),), generator=generator)
        _scale(writer, reader, 2.0**exponents)
    return twin if places else None


def _places(module: nn.Module) -> Iterator[tuple[Any, Any]]:
    """What writes the units before each ReLU, and what reads them."""
    layers = list(module) if isinstance(module, nn.Sequential) else []
    weighted = [layer for layer in layers if isinstance(layer, (*_WEIGHTED, *_NORMS))]
    if len(set(weighted)) < len(weighted):
        return  # a layer that stands in two places cannot be scaled in one
    for index, layer in enumerate(layers[1:], 1):
        writer = layers[index - 1]
        between = list(takewhile(_keeps_channels_apart, layers[index + 1 :]))
        reader = (*layers[index + 1 + len(between) :], None)[0]
        if isinstance(layer, _HOMOGENEOUS) and _fit(writer, between, reader):
            yield writer, reader


def _keeps_channels_apart(layer: nn.Module) -> bool:
    return isinstance(layer, _CHANNEL_BY_CHANNEL)


def _fit(writer: nn.Module, between: list[nn.Module], reader: nn.Module | None) -> bool:
    """Whether the reader's weights for each of the writer's units are known."""
    written = isinstance(writer, _WEIGHTED) or (isinstance(writer, _NORMS) and writer.affine)
    if not written or not isinstance(reader, _WEIGHTED) or getattr(reader, "groups", 1) > 1:
        return False
    units, read = len(cast("Tensor", writer.weight)), reader.weight.shape[1]
    if isinstance(writer, nn.Linear | nn.BatchNorm1d) or not isinstance(reader, nn.Linear):
        return units == read
    return read % units == 0 and any(isinstance(layer, nn.Flatten) for layer in between)


@torch.no_grad()
def _scale(writer: Any, reader: Any, factors: Tensor) -> None:
    """Units times ``factors``, and the reader's weights for them by as much smaller."""
    weight, read = writer.weight, reader.weight
    weight *= factors.to(weight).reshape(-1, *[1] * (weight.dim() - 1))
    if writer.bias is not None:
        writer.bias *= factors.to(weight)
    each = factors.to(read).repeat_interleave(read.shape[1] // len(factors))
    read /= each.reshape(1, -1, *[1] * (read.dim() - 2))


class Padded(nn.Module):
    """F of the first half of a wider input; the second half is not read.

    Args:
        model: F.
        width: of the last dimension that the model reads.
    """

    def __init__(self, model: nn.Module, width: int) -> None:
        super().__init__()
        self.model, self.width = model, width
        self.training = model.training

    def forward(self, inputs: Tensor) -> Tensor:
        """The model's output."""
        output: Tensor = self.model(inputs[..., : self.width])
        return output


class Rolled(nn.Module):
    """A copy of the model with each output in its neighbour's place."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.training = model.training

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, outputs): the model's, the last first."""
        output: Tensor = self.model(inputs)
        return output.roll(1, -1)
