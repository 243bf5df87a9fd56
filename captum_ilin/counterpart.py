"""``counterpart``: the same op call at the baseline, for a rule that lies between two points.

A run between two points treats its ops in the order in which the run at the baseline did.
While a rule runs, the arguments its op had there are at hand.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from captum_ilin.errors import NotOfferedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

__all__ = [
    *("Counterpart", "Remainder", "counterpart", "counterpart_input"),
    *("leave_remainder", "paired"),
]


class Counterpart(NamedTuple):
    """The arguments of an op call at the baseline, detached, in the op's own order."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Remainder:
    """Whether a rule found a change that no active argument owns."""

    is_left = False


_current: ContextVar[Counterpart | None] = ContextVar("captum_ilin_counterpart", default=None)
_remainder: ContextVar[Remainder | None] = ContextVar("captum_ilin_remainder", default=None)


@contextmanager
def paired(call: Counterpart) -> Iterator[Remainder]:
    """Make ``call`` the one that `counterpart` gives; what the rule leaves is handed out."""
    remainder = Remainder()
    token, left = _current.set(call), _remainder.set(remainder)
    try:
        yield remainder
    finally:
        _current.reset(token)
        _remainder.reset(left)


def leave_remainder() -> None:
    """Say that a part of Δy has no owner: a constant moved, and nothing active with it."""
    remainder = _remainder.get()
    if remainder is not None:
        remainder.is_left = True


def counterpart() -> Counterpart:
    """The current op's arguments at the baseline. For use inside a rule, within ``hold``.

    Raises:
        NotOfferedError: the run has no baseline.

    >>> import torch
    >>> from captum_ilin import REFERENCE_RULES, hold, linearize
    >>> def cube(z):
    ...     def slope(z):
    ...         before = counterpart().args[0]
    ...         return z * z + z * before + before * before
    ...     value, factor = hold(lambda: z.detach() ** 3), hold(slope, z)
    ...     return factor * z + hold(lambda: value - factor * z.detach())
    >>> rules = REFERENCE_RULES | {torch.pow: lambda z, exponent: cube(z)}
    >>> x, baseline = torch.tensor([[3.0]]), torch.tensor([[1.0]])
    >>> linearize(lambda x: torch.pow(x, 3), x, baselines=baseline, rules=rules).weight()
    tensor([[13.]])
    """
    call = _current.get()
    if call is None:
        raise NotOfferedError(
            "This rule lies between two operating points, and the run has one. Pass "
            "baselines=, or rules that need one point, such as DEFAULT_RULES."
        )
    return call


def counterpart_input() -> Tensor:
    """z', the first argument at the baseline."""
    there = counterpart()
    first: Tensor = there.args[0] if there.args else there.kwargs["input"]
    return first
