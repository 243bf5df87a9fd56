"""``replay``: the frozen network run at another point, with the gates of the operating point.

Two runs of the forward function. The first, at x0, records for each treated op what its rule
held, and of an op without slope its result. The second, at x, hands those back, call by call,
so that only the values that flow are new: G(x) = W x + b, from forward values alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin.arguments import mapped, tensors
from captum_ilin.errors import NotOfferedError, ReplayError
from captum_ilin.freezing import Freezing
from captum_ilin.holding import Tape, recording, replaying
from captum_ilin.modes import gradients_on
from captum_ilin.rule import Kind, op_name
from captum_ilin.sideeffects import buffers_kept
from captum_ilin.tangent import tangent, written_tangent

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.arguments import Arguments
    from captum_ilin.location import Site
    from captum_ilin.rule import Op, Rule
    from captum_ilin.ruletable import RuleTable

__all__ = ["replay"]


def replay(
    forward_func: Callable[..., Any],
    leaves: tuple[Tensor, ...],
    points: tuple[Tensor, ...],
    constants: tuple[Any, ...],
    rules: RuleTable,
) -> tuple[Tensor, Tensor]:
    """G at ``leaves``, where it is frozen, and at ``points``."""
    recorder = _Recording(rules)
    at_home: Tensor = _run(recorder, forward_func, leaves, constants)
    player = _Replaying(rules, recorder.calls)
    outputs: Tensor = _run(player, forward_func, points, constants)
    player.check_finished()
    return at_home.detach(), outputs.detach()


def _run(
    freezing: Freezing,
    forward_func: Callable[..., Any],
    points: tuple[Tensor, ...],
    constants: tuple[Any, ...],
) -> Any:
    with gradients_on():
        entered = [freezing.enter(point.detach().requires_grad_()) for point in points]
    with buffers_kept(forward_func), freezing.run():
        outputs = forward_func(*entered, *constants)
    return freezing.finish(outputs)


@dataclass
class _Call:
    """One treated op: where it was called, and what of it belongs to the operating point."""

    site: Site
    tape: Tape = field(default_factory=Tape)
    has_slope: list[bool] = field(default_factory=list)
    constant: Any = None


class _Numbered(Freezing):
    """Freezing whose treated ops are told apart from those that are constant."""

    def _treat_active(self, func: Op, rule: Rule | None, arguments: Arguments) -> Any:
        if func in (torch.detach_, Tensor.detach_):
            raise NotOfferedError(
                f"{self._site('detach_')} cannot be replayed, because it holds a value in the "
                "place of one that flows. Write x = x.detach() instead."
            )
        is_decomposed = rule is not None and rule.kind is Kind.DECOMPOSITION
        if is_decomposed or not _is_constant(rule):
            return super()._treat_active(func, rule, arguments)
        name = op_name(func) if rule is None else rule.name
        return self._treat_constant(
            self._site(name),
            lambda: super(_Numbered, self)._treat_active(func, rule, arguments),
        )

    def _treat_constant(self, site: Site, compute: Callable[[], Any]) -> Any:
        raise NotImplementedError

    def _freeze_foreign(self) -> None:
        if any(not self._foreign.passes_by(value) for value in self.activity.foreign):
            raise NotOfferedError(
                f"A custom autograd.Function in {self._locator.path()!r} cannot be replayed, "
                "because no op call announces it. Write it in torch ops, or as a "
                "torch.library.custom_op."
            )
        super()._freeze_foreign()


def _is_constant(rule: Rule | None) -> bool:
    if rule is not None and rule.kind is Kind.CONSTANT:
        return True
    return not torch.is_grad_enabled() and not (rule is not None and rule.inplace)


class _Recording(_Numbered):
    """Freezing that keeps, call by call, what was held."""

    def __init__(self, rules: RuleTable) -> None:
        super().__init__(rules)
        self.calls: list[_Call] = []

    def _treat_constant(self, site: Site, compute: Callable[[], Any]) -> Any:
        result = compute()
        self.calls.append(_Call(site, constant=_copied(result)))
        return result

    def _freeze(self, op: Op, rule: Rule, arguments: Arguments) -> Any:
        if not torch.is_grad_enabled():  # its result is being kept as a constant
            return super()._freeze(op, rule, arguments)
        with recording() as tape:
            result = super()._freeze(op, _with_held_piece(rule), arguments)
        slopes = [value.requires_grad for value in tensors(result)]
        self.calls.append(_Call(self._site(rule.name), tape, slopes))
        return result


class _Replaying(_Numbered):
    """Freezing that hands back, call by call, what was held."""

    def __init__(self, rules: RuleTable, calls: list[_Call]) -> None:
        super().__init__(rules)
        self._calls, self._position = calls, 0

    def check_finished(self) -> None:
        """All recorded calls have been made."""
        if self._position < len(self._calls):
            raise _differs(self._position + 1, "the end", self._calls[self._position].site)

    def _treat_constant(self, site: Site, compute: Callable[[], Any]) -> Any:
        return _copied(self._next(site).constant)

    def _freeze(self, op: Op, rule: Rule, arguments: Arguments) -> Any:
        call = self._next(self._site(rule.name))
        with replaying(call.tape):
            return super()._freeze(op, _anchored(_with_held_piece(rule), call), arguments)

    def _next(self, site: Site) -> _Call:
        self._position += 1
        if self._position > len(self._calls):
            raise _differs(self._position, site, "the end")
        call = self._calls[self._position - 1]
        if call.site != site:
            raise _differs(self._position, site, call.site)
        return call


def _differs(number: int, found: object, recorded: object) -> ReplayError:
    return ReplayError(
        f"The forward function takes another path at x: its treated op number {number} is "
        f"{found}; recorded at the operating point was {recorded}. Its branches depend on "
        "something that no op call shows (chance, a counter, values read through NumPy), so "
        "the frozen network has no value there. Make the function the same at each call."
    )


def _with_held_piece(rule: Rule) -> Rule:
    """The rule of an op that runs as it is, and would take another piece at another point."""
    if not rule.is_piecewise:
        return rule
    op = rule.function

    def piece(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        if rule.inplace or _asks_to_write(op, args, kwargs):
            return written_tangent(op, input, *args, **kwargs)
        return tangent(op, input, *args, **kwargs)

    return replace(rule, function=piece)


def _asks_to_write(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether one of the two functions that have the option was asked to write in place."""
    if op not in (F.relu, F.leaky_relu):
        return False
    return bool(kwargs.get("inplace", False)) or any(arg is True for arg in args)


def _anchored(rule: Rule, call: _Call) -> Rule:
    """The rule, its results active as they were, though moved values come without a graph."""
    if rule.inplace:
        return rule

    def anchored(*args: Any, **kwargs: Any) -> Any:
        slopes = iter(call.has_slope)

        def anchor(value: Tensor) -> Tensor:
            if next(slopes) and not value.requires_grad:
                return value.detach().requires_grad_().clone()
            return value

        return mapped(rule.function(*args, **kwargs), anchor)

    return replace(rule, function=anchored)


def _copied(result: Any) -> Any:
    return mapped(result, Tensor.clone)
