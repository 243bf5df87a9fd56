"""Max pooling between two points: windows that choose, and that add where they overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.counterpart import leave_remainder
from captum_ilin.holding import hold
from captum_ilin.rule import Kind
from captum_ilin.rules.references.selections import Found, chosen
from captum_ilin.rules.spellings import functions, spellings
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from captum_ilin.rule import Op

__all__ = ["RULES"]

RULES = RuleTable()
RULES.runs(
    Kind.LINEAR,
    *functions("functional", "max_unpool1d", "max_unpool2d", "max_unpool3d"),
)


def _pools(dims: int, pool: Op, place: int, *ops: Op, returns_indices: bool = False) -> None:
    """Register max pooling of the last ``dims`` dimensions, its indices asked for at place."""

    def find(input: Tensor, *args: Any, asked: bool, **kwargs: Any) -> Found:
        values, places = pool(input, *args, return_indices=True, **kwargs)
        return ((values, places) if asked else values), _in_planes(input, places, dims)

    @RULES.freezes(*ops)
    def rule(input: Tensor, *args: Any, return_indices: bool = False, **kwargs: Any) -> Any:
        asked = returns_indices or return_indices or bool(args[place : place + 1] == (True,))
        return chosen(find, input, *args[:place], asked=asked, sign=1, **kwargs)


def _in_planes(input: Tensor, places: Tensor, dims: int) -> Tensor:
    """Places in each plane of the last ``dims`` dimensions as places in input.flatten()."""
    size = input.shape[-dims:].numel()
    starts = torch.arange(input.numel() // size, device=input.device) * size
    return places + starts.reshape(*input.shape[:-dims], *[1] * dims)


for _dims in (1, 2, 3):
    _name = f"max_pool{_dims}d"
    for _stem, _place in ((_name, 5), (f"adaptive_{_name}", 1)):
        _pool = getattr(F, _stem)
        _pools(_dims, _pool, _place, *functions("functional", _stem))
        _pools(
            *(_dims, _pool, _place),
            *functions("functional", f"{_stem}_with_indices"),
            *(*functions("_nn", f"{_stem}_with_indices"), *spellings(f"{_stem}_with_indices")),
            returns_indices=True,
        )
    _pools(_dims, getattr(F, _name), 5, *spellings(_name))
    _pools(  # the native ones return both
        *(_dims, getattr(F, f"adaptive_{_name}"), 1),
        *(*spellings(f"adaptive_{_name}"), *functions("_nn", f"adaptive_{_name}")),
        returns_indices=True,
    )


def _fractional(dims: int, pool: Op, *ops: Op, returns_indices: bool) -> None:
    """Register pooling of regions whose sides are drawn by chance, unless they are given."""

    def find(input: Tensor, *args: Any, samples: Tensor, asked: bool) -> Found:
        values, places = pool(input, *args, return_indices=True, _random_samples=samples)
        return ((values, places) if asked else values), _in_planes(input, places, dims)

    @RULES.freezes(*ops)
    def rule(
        input: Tensor,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> Any:
        samples = hold(
            lambda: _drawn(input, dims) if _random_samples is None else _random_samples
        )
        sizes = kernel_size, output_size, output_ratio
        asked = returns_indices or return_indices
        return chosen(find, input, *sizes, samples=samples, asked=asked, sign=1)


def _drawn(input: Tensor, dims: int) -> Tensor:
    """Others than at the baseline."""
    leave_remainder()
    batch = input.shape[0] if input.dim() == dims + 2 else 1
    return torch.rand(
        batch, input.shape[-dims - 1], dims, dtype=input.dtype, device=input.device
    )


for _dims in (2, 3):
    _name = f"fractional_max_pool{_dims}d"
    _pool = getattr(F, _name)
    _fractional(_dims, _pool, *functions("functional", _name), returns_indices=False)
    _both = functions("functional", f"{_name}_with_indices")
    _fractional(_dims, _pool, *_both, returns_indices=True)


@RULES.freezes(*functions("_nn", "fractional_max_pool2d"))
def native_2d(
    input: Tensor, kernel_size: Any, output_size: Any, _random_samples: Tensor
) -> Any:
    rule = RULES[F.fractional_max_pool2d_with_indices].function
    return rule(input, kernel_size, output_size, _random_samples=_random_samples)


@RULES.freezes(*functions("_nn", "fractional_max_pool3d"))
def native_3d(
    input: Tensor, kernel_size: Any, output_size: Any, _random_samples: Tensor
) -> Any:
    rule = RULES[F.fractional_max_pool3d_with_indices].function
    return rule(input, kernel_size, output_size, _random_samples=_random_samples)
