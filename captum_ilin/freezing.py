"""``Freezing``: the mode that sees every torch call and decides how it is treated.

An op without an active argument is constant. With one, its rule decides: run it (it is
constant, linear or affine by itself), run the rule, or run its definition in simpler ops.
An op without a rule is frozen at its tangent, still exact, and reported.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from captum_ilin.activity import Activity, tracking
from captum_ilin.arguments import Arguments, tensors
from captum_ilin.errors import UnregisteredOpError, without_rule
from captum_ilin.holding import is_replaying
from captum_ilin.location import Locator, Site
from captum_ilin.ruletable import Kind, Op, Rule, RuleTable, op_name
from captum_ilin.tangent import tangent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from captum_ilin.ledger import Ledger

__all__ = ["Freezing"]


class Freezing(TorchFunctionMode):
    """Freeze every op called inside ``run``.

    Args:
        rules: how each op is frozen.
        strict: raise at an op without a rule instead of taking its tangent.
        ledger: where the constants that enter are noted; None notes none.

    Attributes:
        order: how many ops with an active argument were treated so far; the number of the
            current one.
        unregistered: where an op without a rule was called, and how often.
    """

    def __init__(
        self, rules: RuleTable, *, strict: bool = False, ledger: Ledger | None = None
    ) -> None:
        super().__init__()
        self.rules = rules
        self.strict = strict
        self.ledger = ledger
        self.activity = Activity()
        self.order = 0
        self.unregistered: Counter[Site] = Counter()
        self._locator = Locator()

    @contextmanager
    def run(self) -> Iterator[Freezing]:
        """Freeze what is called inside, with gradients on."""
        with tracking(self.activity), torch.enable_grad(), self:
            yield self

    def enter(self, value: Tensor) -> Tensor:
        """An active copy of an input, for the model to use as it likes."""
        with torch.enable_grad():
            copy = value.clone()
        self.activity.mark(copy)
        return copy

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        rule = self.rules.get(func)
        if rule is not None and rule.kind is Kind.INERT:
            return func(*args, **kwargs)
        arguments = Arguments(self.activity, args, kwargs)
        if self.activity.foreign:
            self._report_foreign()
        if not arguments.ranks:
            return func(*arguments.args, **arguments.kwargs)
        if rule is not None and rule.kind is Kind.DECOMPOSITION:
            return self._decompose(rule, arguments)
        self.order += 1
        if rule is not None and rule.kind is Kind.CONSTANT:
            args, kwargs = arguments.detached()
            return func(*args, **kwargs)
        return self._freeze(func, rule or self._tangent_of(func), arguments)

    def _decompose(self, rule: Rule, arguments: Arguments) -> Any:
        with self:
            result = rule.function(*arguments.args, **arguments.kwargs)
        if rule.rank is not None:
            self._mark(result, rule.rank)
        return result

    def _freeze(self, op: Op, rule: Rule, arguments: Arguments) -> Any:
        """Run the rule, note the constant it adds, and mark its result as active."""
        quiet = rule.kind is Kind.LINEAR and not rule.inplace
        if self.ledger is None or quiet:
            result = rule.function(*arguments.args, **arguments.kwargs)
        else:
            result = self.ledger.run(rule, arguments, self._locator.path())
        written = arguments.args[0] if rule.inplace else result
        self._mark(written, min(arguments.ranks) if rule.rank is None else rule.rank)
        return result

    def _mark(self, result: Any, rank: int) -> None:
        if isinstance(result, Tensor):
            self.activity.mark(result, rank)
        else:
            for value in tensors(result):
                self.activity.mark(value, rank)

    def _tangent_of(self, op: Op) -> Rule:
        """What is done with an op without a rule: its tangent, and a report."""
        name = op_name(op)

        def rule(*args: Any, **kwargs: Any) -> Any:
            result = tangent(op, *args, **kwargs)
            if not is_replaying() and any(map(_is_real, tensors(result))):
                self._report(name)
            return result

        return Rule(rule, Kind.RULE, name)

    def _report_foreign(self) -> None:
        for node in self.activity.foreign:
            self._report(node.name())
        self.activity.foreign.clear()

    def _report(self, op: str) -> None:
        site = Site(self._locator.path(), op)
        if self.strict:
            raise UnregisteredOpError(without_rule([site]))
        self.unregistered[site] += 1


def _is_real(value: Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()
