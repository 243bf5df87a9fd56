"""``part_of``: the block of an operator between chosen features and chosen outputs.

The block is R W C, where C puts the chosen features among zeros and R takes the chosen outputs.
They are chosen by PyTorch's own indexing of one example, and keep the shape that it gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.errors import PartError
from captum_ilin.examples import flat
from captum_ilin.space import Space

if TYPE_CHECKING:
    from captum_ilin.operator import Operator

    Vector = tuple[Tensor, ...]

__all__ = ["part_of"]


def part_of(W: Operator, features: Any, outputs: Any) -> Operator:
    """The block of W, from ``features`` of what it takes to ``outputs`` of what it gives."""
    taken = _chosen(W.domain, features, "features")
    given = _chosen(W.codomain, outputs, "outputs")
    return replace(
        W,
        domain=taken.space,
        codomain=given.space,
        _apply=lambda v: given.take(W._apply(taken.put(v))),
        _apply_transposed=lambda u: taken.take(W._apply_transposed(given.put(u))),
    )


@dataclass(frozen=True)
class _Chosen:
    """Some numbers of each example of a space's vectors.

    Attributes:
        whole: the space they are chosen from.
        space: that of the chosen numbers.
        places: number of a part of the whole → where its chosen numbers lie in an example.
    """

    whole: Space
    space: Space
    places: dict[int, Tensor]

    def take(self, vector: Vector) -> Vector:
        """The chosen numbers of a vector of the whole space."""
        return tuple(_taken(vector[number], place) for number, place in self.places.items())

    def put(self, vector: Vector) -> Vector:
        """The vector of the whole space with these numbers, and zeros elsewhere.

        A number chosen twice gets the sum, which makes this the transpose of ``take``.
        """
        whole = [torch.zeros_like(pattern) for pattern in self.whole.patterns]
        for (number, place), part in zip(self.places.items(), vector, strict=True):
            rows = part.reshape(len(part), -1)
            summed = flat(whole[number]).index_add(1, place.flatten(), rows)
            whole[number] = summed.reshape(whole[number].shape)
        return tuple(whole)


def _chosen(whole: Space, index: Any, name: str) -> _Chosen:
    places = {
        number: _places(whole.patterns[number], each, called)
        for number, called, each in _by_part(whole, index, name)
    }
    patterns = tuple(_taken(whole.patterns[number], at) for number, at in places.items())
    label = whole.name if index is None else f"part of the {whole.name}"
    return _Chosen(whole, Space(label, patterns, whole.is_tuple), places)


def _by_part(whole: Space, index: Any, name: str) -> list[tuple[int, str, Any]]:
    """(number of a part, its name, an index into it): all for None, else those of a dict."""
    numbers = range(len(whole.patterns))
    if index is None:
        return [(number, name, ...) for number in numbers]
    if not whole.is_tuple:
        return [(0, name, index)]
    if not isinstance(index, Mapping) or not index or not set(index) <= set(numbers):
        raise PartError(
            f"{name} must say which of the {len(numbers)} {whole.name} is meant, as a dict of "
            f"its number (0 to {len(numbers) - 1}) and an index into each of its examples, but "
            f"got {index!r}. Pass {name}={{0: ...}} for all of the first."
        )
    return [(number, f"{name}[{number}]", each) for number, each in index.items()]


def _places(pattern: Tensor, index: Any, name: str) -> Tensor:
    """Where the chosen numbers lie in a flattened example."""
    shape = tuple(pattern.shape[1:])
    numbered = torch.arange(pattern[0].numel(), device=pattern.device).reshape(shape)
    if any(each is None or isinstance(each, bool) for each in _each(index)):
        raise _unfit(name, index, shape, "None and bools choose nothing")
    try:
        places = numbered[tuple(map(_listed, _each(index)))]
    except (IndexError, TypeError, ValueError) as error:
        raise _unfit(name, index, shape, str(error).rstrip(".")) from error
    if not places.numel():
        raise _unfit(name, index, shape, "it chooses nothing")
    return places


def _each(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _listed(index: Any) -> Any:
    """A list as the tensor it stands for, whatever it holds."""
    return torch.tensor(index) if isinstance(index, list) else index


def _unfit(name: str, index: Any, shape: tuple[int, ...], why: str) -> PartError:
    return PartError(
        f"{name}={index!r} does not index an example of shape {shape}: {why}. Pass an int, a "
        "slice, a list of ints or a tuple of these; the batch is left out."
    )


def _taken(whole: Tensor, places: Tensor) -> Tensor:
    return flat(whole)[:, places]
