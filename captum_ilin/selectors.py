"""Captum's neuron selectors: which unit of a layer's value is meant, in every example."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

from torch import Tensor

from captum_ilin.errors import NeuronRangeError, NeuronSelectorError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["select_neuron"]


def select_neuron(values: Sequence[Tensor], selector: Any) -> Tensor:
    """The chosen unit of each example, (batch,).

    Args:
        values: the tensors of the layer's value, each (batch, \\*units).
        selector: an int or a tuple with one int or slice for each dimension of a unit's
            index, where units that slices choose are summed; or a function of the tensor
            (of the tuple, if there are several) that returns (batch,).

    Raises:
        NeuronSelectorError, NeuronRangeError: it does not choose one value per example.
    """
    if callable(selector):
        return _checked(selector(values[0] if len(values) == 1 else tuple(values)))
    if len(values) != 1:
        raise NeuronSelectorError(
            f"The layer's value holds {len(values)} tensors, so the neuron_selector "
            f"{selector!r} does not tell which is meant. Pass a function, for example "
            "`lambda values: values[0][:, 3]`."
        )
    index = selector if isinstance(selector, tuple) else (selector,)
    _check_index(index, selector, values[0])
    chosen = values[0][(slice(None), *index)]
    return chosen.flatten(1).sum(1) if chosen.dim() > 1 else chosen


def _check_index(index: tuple[Any, ...], selector: Any, value: Tensor) -> None:
    if any(isinstance(part, bool) or not isinstance(part, (Integral, slice)) for part in index):
        raise NeuronSelectorError(
            f"The neuron_selector {selector!r} has a form that is not known. Use an int, a "
            "tuple of ints and slices, or a function that returns one value per example."
        )
    shape = tuple(value.shape[1:])
    if len(index) != len(shape):
        raise NeuronSelectorError(
            f"The neuron_selector {selector!r} has {len(index)} indices, but the layer has "
            f"units of {len(shape)} dimensions, {shape}. Pass an index for each; a slice "
            "sums over a dimension."
        )
    for part, size in zip(index, shape, strict=True):
        _check_range(part, size, selector, shape)


def _check_range(part: int | slice, size: int, selector: Any, shape: tuple[int, ...]) -> None:
    if isinstance(part, slice):
        chosen = len(range(*part.indices(size)))
    else:
        chosen = int(-size <= part < size)
    if not chosen:
        raise NeuronRangeError(
            f"The neuron_selector {selector!r} is out of range: the layer's units have shape "
            f"{shape}, so indices of this dimension run from 0 to {size - 1}. Choose a unit "
            "that exists."
        )


def _checked(chosen: Any) -> Tensor:
    """What a selector function returned, if it is one value per example."""
    if not isinstance(chosen, Tensor) or chosen.dim() != 1:
        shown = tuple(chosen.shape) if isinstance(chosen, Tensor) else type(chosen).__name__
        raise NeuronSelectorError(
            f"The neuron_selector function returned {shown}; expected a tensor of one value "
            "per example, (batch,). Choose one unit, or sum over the others, for example "
            "`lambda value: value[:, 3]` or `lambda value: value.flatten(1).sum(1)`."
        )
    return chosen
