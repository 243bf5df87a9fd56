"""The table of op cases: a new op is one line here.

``case(ops, args, kwargs, reference)`` covers every identity in ``ops``; in-place identities get
the same arguments. ``args`` is made anew for each test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rules import references as ref

__all__ = ["CASES", "Case", "active", "case", "values"]


@dataclass(frozen=True)
class Case:
    """Arguments for some identities of an op, and what the frozen op must be there."""

    ops: tuple[Callable[..., Any], ...]
    args: Callable[[], tuple[Any, ...]]
    reference: Callable[[ref.Flat], ref.Map]
    kwargs: dict[str, Any] = field(default_factory=dict)
    lift: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None


CASES: list[Case] = []


def case(
    ops: tuple[Callable[..., Any], ...],
    args: Callable[[], tuple[Any, ...]],
    reference: Callable[[ref.Flat], ref.Map],
    lift: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
    **kwargs: Any,
) -> None:
    """Add a case; ``lift`` makes of the op the function that is tested."""
    CASES.append(Case(ops, args, reference, kwargs, lift))


def of_complex(op: Callable[..., Any]) -> Callable[..., Any]:
    """``op`` of the complex numbers whose parts are the last axis of the first argument."""

    def lifted(pairs: Tensor, *args: Any, **kwargs: Any) -> Any:
        return op(torch.view_as_complex(pairs), *args, **kwargs)

    return lifted


def active(*shape: int, low: float = -3.0, high: float = 3.0) -> Tensor:
    """Random values that require gradients, so that they are active."""
    return values(*shape, low=low, high=high).requires_grad_()


def values(*shape: int, low: float = -3.0, high: float = 3.0) -> Tensor:
    """Random constants, spread enough that no two are within a reference's step."""
    count = max(1, int(torch.tensor(shape).prod())) if shape else 1
    grid = torch.linspace(low, high, count + 2, dtype=torch.float64)[1:-1]
    jitter = (high - low) / (count + 2) * 0.25 * (torch.rand(count, dtype=torch.float64) - 0.5)
    return (grid + jitter)[torch.randperm(count)].reshape(shape)


def special(*numbers: float) -> Callable[[], tuple[Tensor]]:
    """These values exactly, active."""
    return lambda: (torch.tensor(numbers, dtype=torch.float64).requires_grad_(),)
