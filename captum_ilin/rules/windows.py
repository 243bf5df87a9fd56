"""Where the pieces of max pooling end: y − z, for every z that the window of y sees.

The windows are shifted copies of each other: what they see at one place is a slice of the
input. Those of adaptive pooling differ in size, and their places are looked up.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from captum_ilin.gap import Gap
from captum_ilin.rules.spellings import functions, spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from captum_ilin.rule import Op

__all__ = ["WINDOWS"]

WINDOWS: dict[Op, Callable[..., Iterator[Gap]]] = {}


def _pools(pool: Op, *ops: Op, dims: int) -> None:
    """Register max pooling over the last ``dims`` dimensions."""

    def gaps(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Iterator[Gap]:
        sizes, dilations, paddings = (_each(o, dims) for o in (kernel_size, dilation, padding))
        strides = sizes if stride is None or stride == [] else _each(stride, dims)
        chosen = pool(input, sizes, strides, paddings, dilations, ceil_mode)
        reach = [step * (size - 1) for step, size in zip(dilations, sizes, strict=True)]
        spans = [
            (count - 1) * stride + 1
            for count, stride in zip(chosen.shape[-dims:], strides, strict=True)
        ]
        seen = _padded(input, paddings, [a + b for a, b in zip(reach, spans, strict=True)])
        for place in product(*map(range, sizes)):
            yield Gap(
                chosen - seen[_strided(place, dilations, spans, strides)], candidate=place
            )

    WINDOWS.update(dict.fromkeys(ops, gaps))


def _padded(input: Tensor, paddings: list[int], lengths: list[int]) -> Tensor:
    """The input between −∞, as far as the last window reaches."""
    sides: list[int] = []
    found = input.shape[-len(lengths) :]
    for before, length, wanted in zip(paddings, found, lengths, strict=True):
        sides = [before, max(wanted - before - length, 0), *sides]  # the last dimension first
    return F.pad(input, sides, value=-torch.inf) if any(sides) else input


def _strided(
    place: tuple[int, ...], dilations: list[int], spans: list[int], strides: list[int]
) -> tuple[Any, ...]:
    """The index of what all windows see at one place."""
    options = zip(place, dilations, spans, strides, strict=True)
    slices = [slice(n * step, n * step + span, stride) for n, step, span, stride in options]
    return (..., *slices)


def _adaptive_pools(pool: Op, *ops: Op, dims: int) -> None:
    def gaps(input: Tensor, output_size: Any, return_indices: bool = False) -> Iterator[Gap]:
        chosen = pool(input, output_size)
        first, seen = input.dim() - dims, input
        for number in range(dims):
            places = _adaptive_windows(
                input.shape[first + number], chosen.shape[first + number]
            )
            flat = places.to(input.device).flatten()
            seen = seen.index_select(first + 2 * number, flat)
            seen = seen.unflatten(first + 2 * number, tuple(places.shape))
        sizes = [seen.shape[first + 2 * number + 1] for number in range(dims)]
        for place in product(*map(range, sizes)):
            index = (..., *(part for number in place for part in (slice(None), number)))
            yield Gap(chosen - seen[index], candidate=place)

    WINDOWS.update(dict.fromkeys(ops, gaps))


def _adaptive_windows(length: int, windows: int) -> Tensor:
    """(windows, size): the places each window sees; the last one again where it is smaller."""
    starts = torch.arange(windows) * length // windows
    ends = -(-(torch.arange(windows) + 1) * length // windows)
    places = starts[:, None] + torch.arange(int((ends - starts).max()))
    return torch.minimum(places, ends[:, None] - 1)


def _each(option: Any, dims: int) -> list[int]:
    values = list(option) if isinstance(option, (list, tuple)) else [option]
    return values * dims if len(values) == 1 else values


for _dims in (1, 2, 3):
    _name = f"max_pool{_dims}d"
    _pools(
        getattr(F, _name),
        *functions("functional", _name, f"{_name}_with_indices"),
        *functions("_nn", f"{_name}_with_indices"),
        *spellings(_name, f"{_name}_with_indices"),
        dims=_dims,
    )
    _adaptive_pools(
        getattr(F, f"adaptive_{_name}"),
        *functions("functional", f"adaptive_{_name}", f"adaptive_{_name}_with_indices"),
        *spellings(f"adaptive_{_name}"),
        *functions("_nn", f"adaptive_{_name}"),
        dims=_dims,
    )
