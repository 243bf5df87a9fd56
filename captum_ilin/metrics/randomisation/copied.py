"""``Copied``: a deep copy of the model whose layers are randomised and restored."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from captum_ilin.metrics.chance import drawing_from
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.randomisation.layers import executed_layers, named_layers
from captum_ilin.metrics.randomisation.redrawing import redraw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from captum_ilin.metrics.features import Inputs
    from captum_ilin.metrics.randomisation.redrawing import BatchNorm

__all__ = ["Copied"]


class Copied:
    """A copy to randomise.

    Args:
        model: the trained network; never changed.
        inputs, additional_forward_args: for one forward pass that finds the layers.
        randomise: (module, seed) → None, draws a layer's parameters again in place; by
            default `redraw` with ``batch_norm``.

    Attributes:
        module: the copy.
        layers: names of its layers, in execution order.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Inputs,
        additional_forward_args: Any = None,
        randomise: Callable[[nn.Module, int], None] | None = None,
        batch_norm: BatchNorm = "reset",
    ) -> None:
        if not isinstance(model, nn.Module):
            raise MetricInputError(
                f"model: expected an nn.Module, whose layers can be randomised, got "
                f"{type(model).__name__}."
            )
        self.module = copy.deepcopy(model)
        self._trained = [tensor.detach().clone() for tensor in _state(self.module)]
        self._modules = named_layers(self.module)
        # redraw leaves the global generators alone by itself
        self._randomise = (
            _alone(randomise) if randomise else partial(redraw, batch_norm=batch_norm)
        )
        self.layers = executed_layers(self.module, inputs, additional_forward_args)
        self.restore()

    def restore(self) -> None:
        """Every parameter and buffer as the model has it."""
        with torch.no_grad():
            for tensor, trained in zip(_state(self.module), self._trained, strict=True):
                tensor.copy_(trained)

    def randomise(self, layer: str, seed: int) -> None:
        """One layer anew; the others stay as they are."""
        self._randomise(self._modules[layer], seed)

    def randomise_all(self, layers: Iterable[str], seeds: Iterable[int]) -> None:
        """Trained values first, then every layer anew."""
        self.restore()
        for layer, seed in zip(layers, seeds, strict=True):
            self.randomise(layer, seed)


def _alone(randomise: Callable[[nn.Module, int], None]) -> Callable[[nn.Module, int], None]:
    """With the global generators at the seed inside, and as they were afterwards."""

    def randomised(module: nn.Module, seed: int) -> None:
        with drawing_from(seed):
            randomise(module, seed)

    return randomised


def _state(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
