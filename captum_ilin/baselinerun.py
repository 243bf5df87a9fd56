"""``BaselineRun``: the forward pass at the baseline, which records what its ops were given.

An op that is affine runs as it is. Of any other its arguments are kept, and its value goes on
without a graph of its own: the run differentiates nothing, and only needs to know which values
are active. What the model later writes over is copied before.

An affine op may be given a constant that was made from active values, such as a mask; at x it
is another, and then the op is not affine between the two points. Its arguments are kept too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.arguments import mapped, tensors
from captum_ilin.counterpart import Counterpart
from captum_ilin.freezing import Freezing, rule_of_call
from captum_ilin.memory import held_memory_of, memory_of
from captum_ilin.rule import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch.multiprocessing.reductions import StorageWeakRef

    from captum_ilin.arguments import Arguments
    from captum_ilin.location import Site
    from captum_ilin.rule import Op, Rule
    from captum_ilin.ruletable import RuleTable

__all__ = ["BaselineRun", "Call", "constants_of_call", "runs_as_it_is"]

_LEAVING = (Tensor.tolist, Tensor.numpy, Tensor.__array__)
_EMPTY = torch.empty(0)  # stands for a tensor that is kept
_OVERWRITING = ("copy_", "fill_", "zero_")


@dataclass
class Call:
    """One treated op call at the baseline.

    Attributes:
        op: the op.
        site: where it was called, for messages.
        is_recorded: whether its arguments are at hand.
    """

    op: Op
    site: Site
    _constants: list[Any]
    _structure: Any = None
    _kept: Sequence[_Kept] = ()

    @property
    def is_recorded(self) -> bool:
        return self._structure is not None

    def unrecorded(self) -> Call:
        """The call without its arguments, for messages."""
        return Call(self.op, self.site, [])

    def constants(self) -> list[Any]:
        """The constants that the op was given, as they were at the call."""
        return [v.tensor if isinstance(v, _Kept) else v for v in self._constants]

    def arguments(self) -> Counterpart:
        """All arguments, as they were at the call."""
        kept = iter(self._kept)
        return Counterpart(*mapped(self._structure, lambda _: next(kept).tensor))


class _Kept:
    """A recorded tensor, which is copied when the model writes to its memory."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def runs_as_it_is(rule: Rule, arguments: Arguments) -> bool:
    """Whether the op is affine in what is active, whatever its values."""
    rule = rule_of_call(rule, arguments)
    return rule.kind in (Kind.LINEAR, Kind.AFFINE) and not rule.is_piecewise


def _has_own_graph(op: Op, rule: Rule, arguments: Arguments) -> bool:
    """Whether an affine op's rule is more than the op, and makes a graph: never of a view."""
    rule = rule_of_call(rule, arguments)
    return rule.function is not op and not rule.inplace


def constants_of_call(rule: Rule, arguments: Arguments) -> list[Any]:
    """The numbers and tensors among the arguments that are not active.

    What a call overwrites whole is none: it may be memory that nothing was put into.
    """
    found: list[Any] = []
    given = arguments.args[1:] if rule.name in _OVERWRITING else arguments.args
    _note_constants(given, found)
    if arguments.kwargs:
        _note_constants(arguments.kwargs.values(), found)
    return found


def _note_constants(values: Iterable[Any], found: list[Any]) -> None:
    """Note them in order, those in nested lists, tuples, dicts and slices too."""
    for value in values:
        if isinstance(value, Tensor):
            if not value.requires_grad:
                found.append(value)
        elif isinstance(value, (int, float, complex)):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            _note_constants(value, found)
        elif isinstance(value, dict):
            _note_constants(value.values(), found)
        elif isinstance(value, slice):
            _note_constants((value.start, value.stop, value.step), found)


class BaselineRun(Freezing):
    """Freezing that records, and freezes nothing.

    Attributes:
        calls: the treated op calls in their order.
    """

    def __init__(self, rules: RuleTable) -> None:
        super().__init__(rules)
        self.calls: list[Call] = []
        self._anchor = torch.zeros((), requires_grad=True)
        self._kept: dict[int, list[_Kept]] = {}
        self._made: set[StorageWeakRef] = set()  # constants made from active values
        self._left: set[type] = set()  # the types of numbers made from active values

    def _treat(self, func: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = super()._treat(func, args, kwargs)
        is_active = isinstance(result, Tensor) and self.activity.rank(result) is not None
        if not is_active and (func in _LEAVING or self._reads_values(func)):
            self._note_made(func, args, kwargs, result)
        return result

    def _note_made(
        self, func: Op, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:
        """Note constants that active values went into, on whatever way."""
        given = tensors((args, kwargs))
        if not any(self._is_of_the_input(value) for value in given):
            return
        if type(result) in (int, float):
            self._left.add(type(result))
        elif func in _LEAVING:
            self._left |= {int, float}
        rule = self.rules.find(func)
        written = given[:1] if func is Tensor.__setitem__ or (rule and rule.inplace) else []
        for value in (*tensors(result), *written):
            memory = memory_of(value)
            if memory is not None and self.activity.rank(value) is None:
                self._made.add(memory)

    def _reads_values(self, func: Op) -> bool:
        rule = self.rules.find(func)
        return rule is None or rule.kind is not Kind.INERT

    def _is_of_the_input(self, value: Tensor) -> bool:
        if self.activity.rank(value) is not None:
            return True
        return bool(self._made) and memory_of(value) in self._made

    def _may_differ(self, constants: list[Any]) -> bool:
        """Whether one of an op's constants may be another at x."""
        if not self._made and not self._left:
            return False
        return any(
            memory_of(value) in self._made
            if isinstance(value, Tensor)
            else type(value) in self._left
            for value in constants
        )

    def _freeze(self, op: Op, rule: Rule, arguments: Arguments) -> Any:
        if not torch.is_grad_enabled():
            return super()._freeze(op, replace(rule, function=op), arguments)
        site, is_affine = self._site(rule.name), runs_as_it_is(rule, arguments)
        found = constants_of_call(rule, arguments)
        constants = [self._keep(v) if isinstance(v, Tensor) else v for v in found]
        if is_affine and not self._may_differ(found):
            self.calls.append(Call(op, site, constants))
        else:
            self.calls.append(self._recorded(op, site, constants, arguments))
        if rule.inplace:
            self._keep_before_write(arguments.args[0])
        if is_affine and not _has_own_graph(op, rule, arguments):
            return super()._freeze(op, rule, arguments)
        return self._pass_on(op, rule, arguments)

    def _ranked(self, rule: Rule, arguments: Arguments) -> tuple[int, None]:
        """Between two points nothing is a gate."""
        return 0, None

    def _pass_on(self, op: Op, rule: Rule, arguments: Arguments) -> Any:
        """The op's value, active, without the graph of the op."""
        if rule.inplace:
            return self._write(op, arguments)
        args, kwargs = arguments.detached()
        with torch.no_grad():
            value = op(*args, **kwargs)
        result = mapped(value, self._activated)
        self._mark(result, 0)
        return result

    def _write(self, op: Op, arguments: Arguments) -> Tensor:
        target: Tensor = arguments.args[0]
        args, kwargs = arguments.detached()
        if self.activity.rank(target) is None:
            with torch.no_grad():
                value = op(args[0].clone(), *args[1:], **kwargs)
            target.copy_(self._activated(value))
        else:
            with torch.no_grad():  # written in place, the target keeps its node
                op(target, *args[1:], **kwargs)
        self.activity.mark_written(target)
        return target

    def _activated(self, value: Tensor) -> Tensor:
        if not (value.is_floating_point() or value.is_complex()):
            return value
        if value._is_view():  # which could not be written to, made by a custom function
            value = value.new_empty(0).set_(  # type: ignore[call-overload]  # of a tensor
                value
            )
        activated: Tensor = _Activated.apply(self._anchor, [value])
        return activated

    def _recorded(self, op: Op, site: Site, constants: list[Any], arguments: Arguments) -> Call:
        everything = (arguments.args, arguments.kwargs)
        kept = [self._keep(tensor) for tensor in tensors(everything)]
        return Call(op, site, constants, mapped(everything, lambda _: _EMPTY), kept)

    def _keep(self, tensor: Tensor) -> _Kept:
        kept = _Kept(tensor.detach() if tensor.requires_grad else tensor)
        memory = held_memory_of(tensor)
        if memory is not None:
            self._kept.setdefault(memory, []).append(kept)
        return kept

    def _keep_before_write(self, target: Tensor) -> None:
        memory = held_memory_of(target)
        for kept in self._kept.pop(memory, []) if memory is not None else []:
            kept.tensor = kept.tensor.clone()


class _Activated(torch.autograd.Function):
    """A value as it is, with a node that can be marked as active."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, value: list[Tensor]) -> Tensor:
        return value[0]  # in a list, so that it is no argument: those may not be written to

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> tuple[Any, ...]:
        raise NotImplementedError("a run at the baseline is not differentiated")
