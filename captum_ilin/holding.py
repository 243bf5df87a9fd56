"""``hold``: the one way a rule freezes something.

What a rule freezes passes through ``hold``, which computes it once, detached. While a tape
records, what was held is kept in order; while a tape replays, the kept values are handed
back. A rule replayed at zero inputs therefore returns its intercept c, because every rule is
affine, y = D z + c, once what it holds is given.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.errors import NotExactError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Tape", "hold", "is_replaying", "is_taped", "recording", "replaying"]


class Tape:
    """What one call of one rule held, in order."""

    def __init__(self) -> None:
        self.held: list[_Held] = []
        self.position: int | None = None  # None while recording

    def next(self, compute: Callable[[], Any]) -> Any:
        """Record what ``compute`` returns, or hand back what was recorded."""
        if self.position is None:
            self.held.append(_Held(compute()))
            return self.held[-1].value
        self.position += 1
        return self.held[self.position - 1].unchanged()


class _Held:
    """A held value, and the versions of its tensors when it was held."""

    def __init__(self, value: Any) -> None:
        self.value, self._versions = value, _versions(value)

    def unchanged(self) -> Any:
        if _versions(self.value) != self._versions:
            raise NotExactError(
                "A value that a rule held was overwritten in place later in the forward "
                "function, so the bias cannot be read. Write to a new tensor instead."
            )
        return self.value


def _versions(value: Any) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [v._version for v in values if isinstance(v, Tensor) and not v.is_inference()]


_tape: ContextVar[Tape | None] = ContextVar("captum_ilin_tape", default=None)


@contextmanager
def recording() -> Iterator[Tape]:
    """Keep everything held inside, in order, on the tape that is handed out."""
    yield from _using(Tape())


@contextmanager
def replaying(tape: Tape) -> Iterator[Tape]:
    """Hand back what ``tape`` kept, in order, instead of computing it."""
    replay = Tape()
    replay.held, replay.position = tape.held, 0
    yield from _using(replay)


def _using(tape: Tape) -> Iterator[Tape]:
    token = _tape.set(tape)
    try:
        yield tape
    finally:
        _tape.reset(token)


def is_taped() -> bool:
    """Whether what is held now is recorded or replayed."""
    return _tape.get() is not None


def is_replaying() -> bool:
    """Whether the rule runs on another input with what it held before."""
    tape = _tape.get()
    return tape is not None and tape.position is not None


def hold(value: Any, *args: Any, **kwargs: Any) -> Any:
    """Freeze ``value`` at the operating point: detached, and remembered for replay.

    Args:
        value: a tensor, any other object, or a function that computes it from
            ``args`` and ``kwargs`` (tensors among them are detached first).

    Returns:
        The held value; no gradient flows through it.

    Cost: none beyond computing ``value``.

    >>> import torch
    >>> z = torch.tensor([2.0], requires_grad=True)
    >>> y = z * hold(torch.sigmoid, z)
    >>> torch.autograd.grad(y, z)[0] == torch.sigmoid(z)
    tensor([True])
    """
    tape = _tape.get()
    if tape is None:
        return _compute(value, args, kwargs)
    return tape.next(lambda: _compute(value, args, kwargs))


def _compute(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not callable(value):
        return _detached(value)
    with torch.no_grad():
        return value(*map(_detached, args), **{k: _detached(v) for k, v in kwargs.items()})


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value
