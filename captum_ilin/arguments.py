"""The arguments of one op call: which tensors are active, and copies with those replaced."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from captum_ilin.errors import NotExactError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from captum_ilin.activity import Activity

__all__ = ["Arguments", "Template", "mapped", "substituted", "tensors"]


_NUMBERS = frozenset({bool, int, float, str, type(None), type(Ellipsis)})


def mapped(value: Any, function: Callable[[Tensor], Any]) -> Any:
    """``value`` with every tensor in nested lists, tuples, dicts and slices replaced."""
    if isinstance(value, Tensor):
        return function(value)
    if type(value) in _NUMBERS:
        return value
    if isinstance(value, (list, tuple)) and type(value) is not torch.Size:
        items = [mapped(item, function) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {key: mapped(item, function) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(
            *(mapped(part, function) for part in (value.start, value.stop, value.step))
        )
    return value


def tensors(value: Any) -> list[Tensor]:
    """Every tensor in nested lists, tuples and dicts, in order."""
    found: list[Tensor] = []
    _collect(value, found)
    return found


def _collect(value: Any, found: list[Tensor]) -> None:
    if isinstance(value, Tensor):
        found.append(value)
    elif isinstance(value, (list, tuple)):
        for item in value:
            if type(item) not in _NUMBERS:
                _collect(item, found)
    elif isinstance(value, dict):
        _collect(list(value.values()), found)
    elif isinstance(value, slice):
        _collect((value.start, value.stop, value.step), found)


def substituted(value: Any, positions: Sequence[int], values: Sequence[Tensor]) -> Any:
    """``value`` with the tensors at ``positions`` (in the order of `tensors`) replaced."""
    chosen, order = dict(zip(positions, values, strict=True)), count()
    return mapped(value, lambda tensor: chosen.get(next(order), tensor))


class Arguments:
    """Positional and keyword arguments, constants detached from their own graphs.

    Attributes:
        args, kwargs: the arguments to run the op with.
        ranks: gate rank of every active tensor among them, in order.
        only_first: the first positional argument is the only active one.
        inference: a constant among them was made under ``inference_mode``.
    """

    __slots__ = ("_activity", "args", "inference", "kwargs", "only_first", "ranks")

    def __init__(
        self, activity: Activity, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._activity = activity
        self.ranks: list[int] = []
        self.inference = False
        self.args = tuple([arg if type(arg) in _NUMBERS else self._sorted(arg) for arg in args])
        self.kwargs = {name: self._sorted(arg) for name, arg in kwargs.items()}
        self.only_first = len(self.ranks) == 1 and _requires_grad(self.first)

    def _sorted(self, arg: Any) -> Any:
        if isinstance(arg, Tensor):
            return self._sort(arg)
        if isinstance(arg, (list, tuple)):
            return arg if _is_plain(arg) else mapped(arg, self._sort)
        return mapped(arg, self._sort) if isinstance(arg, dict) else arg

    def _sort(self, tensor: Tensor) -> Tensor:
        rank = self._activity.rank(tensor) if tensor.requires_grad else None
        if rank is not None:
            self.ranks.append(rank)
            return tensor
        if tensor.is_inference():
            self.inference = True
        return tensor.detach() if tensor.requires_grad else tensor

    def without_inference(self, *, written: bool) -> None:
        """Copy inference tensors, which autograd refuses to save, but not what is written."""
        kept = self.args[:1] if written else ()
        self.replace(lambda tensor: tensor.clone() if tensor.is_inference() else tensor)
        self.args = (*kept, *self.args[len(kept) :])

    @property
    def first(self) -> Any:
        """The first positional argument, None where all are named."""
        return self.args[0] if self.args else None

    def replace(self, function: Callable[[Tensor], Tensor]) -> None:
        """Replace every tensor among the arguments by ``function`` of it."""
        self.args, self.kwargs = mapped((self.args, self.kwargs), function)

    def active(self) -> list[Tensor]:
        """The active tensors among the arguments."""
        found = tensors((self.args, self.kwargs))
        return [tensor for tensor in found if self._activity.rank(tensor) is not None]

    def detached(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with every tensor detached."""
        args = tuple([_detached(arg) for arg in self.args])
        return args, {name: _detached(arg) for name, arg in self.kwargs.items()}

    def template(self, *, written: bool) -> Template:
        """What is needed to call the op again at zero, without keeping active values.

        An op that writes gets another first argument then; its own is not kept.
        """
        args = (None, *self.args[1:]) if written else self.args
        return Template(mapped((args, self.kwargs), self._blank))

    def _blank(self, tensor: Tensor) -> _Blank | _Kept:
        if self._activity.rank(tensor) is not None:
            return _Blank(tensor.shape, tensor.dtype, tensor.device)
        return _Kept(tensor, -1 if tensor.is_inference() else tensor._version)


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach() if value.requires_grad else value
    return value if type(value) in _NUMBERS else mapped(value, Tensor.detach)


def _requires_grad(value: Any) -> bool:
    """Of an argument that was sorted: whether it is an active tensor."""
    return isinstance(value, Tensor) and value.requires_grad


def _is_plain(values: Sequence[Any]) -> bool:
    """Only numbers and slices of them, such as shapes and indices."""
    return not any(map(_may_hold_tensors, values))


def _may_hold_tensors(value: Any) -> bool:
    if type(value) is slice:
        return not _is_plain((value.start, value.stop, value.step))
    return type(value) not in _NUMBERS


class _Blank(NamedTuple):
    """Stands for an active tensor."""

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device


class _Kept:
    """Stands for a constant tensor, as it was at the call."""

    def __init__(self, tensor: Tensor, version: int) -> None:
        self.tensor, self.version = tensor, version

    def value(self) -> Tensor:
        if self.version not in (-1, self.tensor._version):
            raise NotExactError(
                "A constant of the forward function was overwritten in place after it was "
                f"used (a tensor of shape {tuple(self.tensor.shape)}), so the bias cannot "
                "be read any more. Ask for the bias before running the model again, or "
                "write to a new tensor instead."
            )
        return self.tensor


class Template:
    """Arguments of a call with a blank for every active tensor."""

    def __init__(self, arguments: Any) -> None:
        self._arguments = arguments

    def at_zero(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with zeros for every active tensor."""
        args, kwargs = _filled(self._arguments)
        return tuple(args), kwargs


def _filled(value: Any) -> Any:
    if isinstance(value, _Blank):
        return torch.zeros(value.shape, dtype=value.dtype, device=value.device)
    if isinstance(value, _Kept):
        return value.value()
    if isinstance(value, (list, tuple)) and type(value) is not torch.Size:
        items = [_filled(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in value.items()}
    return value
