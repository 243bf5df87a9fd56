"""``BetweenRun``: the forward pass at x, each of its ops between x and the baseline.

Ops are matched by their order, whatever the layout of the tensors: the n-th that is treated
here has the n-th call of the run at the baseline as its counterpart.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.arguments import tensors
from captum_ilin.baselinerun import constants_of_call, runs_as_it_is
from captum_ilin.counterpart import paired
from captum_ilin.errors import BaselinePathError
from captum_ilin.freezing import Freezing
from captum_ilin.reports import Reports
from captum_ilin.rule import Kind
from captum_ilin.rules.between import midway, written
from captum_ilin.tangent import out_of_place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from captum_ilin.arguments import Arguments
    from captum_ilin.baselinerun import Call
    from captum_ilin.ledger import Ledger
    from captum_ilin.rule import Op, Rule
    from captum_ilin.ruletable import RuleTable

__all__ = ["BetweenRun"]


class BetweenRun(Freezing):
    """Freezing between two operating points.

    Args:
        calls: what `BaselineRun` recorded.
        frees (bool, optional): leave each call out of ``calls`` once its op has been run.
            Default: False.
    """

    def __init__(
        self,
        rules: RuleTable,
        calls: list[Call],
        *,
        strict: bool = False,
        ledger: Ledger | None = None,
        frees: bool = False,
    ) -> None:
        super().__init__(rules, strict=strict, ledger=ledger)
        self.reports = Reports(strict, is_between=True)
        self._calls, self._position, self._is_beside = calls, 0, False
        self._frees = frees

    def again(self, ledger: Ledger | None = None) -> BetweenRun:
        return BetweenRun(self.rules, self._calls, ledger=ledger)

    @contextmanager
    def beside_the_function(self) -> Iterator[None]:
        self._is_beside = True
        try:
            yield
        finally:
            self._is_beside = False

    def finish(self, outputs: Any) -> Any:
        if self._position < len(self._calls):
            raise self._differs("the end of the forward function", self._calls[self._position])
        return super().finish(outputs)

    def _freeze(self, op: Op, rule: Rule, arguments: Arguments) -> Any:
        if self._is_beside:
            return super()._freeze(op, rule, arguments)
        if not torch.is_grad_enabled():  # a constant, which no rule between points is asked for
            return super()._freeze(op, replace(rule, function=op), arguments)
        call = self._next(op, rule)
        differs = not _are_equal(constants_of_call(rule, arguments), call.constants())
        is_affine = runs_as_it_is(rule, arguments)
        if is_affine and not (differs and call.is_recorded and rule.varying):
            if differs:
                self._note_unowned(rule)
            return super()._freeze(op, rule, arguments)
        there = call.arguments()
        self._check_shapes(rule, arguments, there)
        if differs and rule.varying is None and self._has_rule(op):
            self._note_unowned(rule)
        with paired(there) as remainder:
            result = super()._freeze(op, _varying(rule) if differs else rule, arguments)
        if remainder.is_left:
            self._note_unowned(rule)
        return result

    def _ranked(self, rule: Rule, arguments: Arguments) -> tuple[int, None]:
        """Between two points nothing is a gate."""
        return 0, None

    def _has_rule(self, op: Op) -> bool:
        rule = self.rules.find(op)
        return rule is not None and rule.kind is not Kind.UNREGISTERED

    def _note_unowned(self, rule: Rule) -> None:
        self.reports.note_unregistered(self._site(rule.name), is_unowned=True)

    def _affine_piece(self, op: Op, *, writes: bool) -> Op:
        """The tangent midway, which leaves less over than one at either point."""
        if writes:
            return partial(written, partial(out_of_place, op), midway)
        return partial(midway, op)

    def _next(self, op: Op, rule: Rule) -> Call:
        if self._position == len(self._calls):
            raise self._differs(self._site(rule.name), None)
        call = self._calls[self._position]
        if call.op != op:  # a property is another object each time it is asked for
            raise self._differs(self._site(rule.name), call)
        if self._frees:
            self._calls[self._position] = call.unrecorded()
        self._position += 1
        return call

    def _differs(self, here: object, there: Call | None) -> BaselinePathError:
        at_baseline = "the end of the forward function" if there is None else there.site
        return BaselinePathError(
            f"The forward function takes another path at the baseline: its op number "
            f"{self._position + 1} is {here} at x, and {at_baseline} at the baseline. "
            "A difference between two points needs the same ops at both: choose a baseline "
            "nearer to x, or explain the function on this side of the branch."
        )

    def _check_shapes(self, rule: Rule, arguments: Arguments, there: Any) -> None:
        here = tensors((arguments.args, arguments.kwargs))
        shapes = [value.shape for value in here]
        others = [value.shape for value in tensors(tuple(there))]
        if shapes != others:
            first, second = (list(map(tuple, found)) for found in (shapes, others))
            raise BaselinePathError(
                f"{self._site(rule.name)}, op number {self._position}, has arguments of shapes "
                f"{first} at x and {second} at the baseline: how much is selected depends on "
                "the values. Choose a baseline that selects as much."
            )


def _varying(rule: Rule) -> Rule:
    """The rule for a call whose constants are others at the baseline, if there is one."""
    if rule.varying is None:
        return rule
    return replace(rule, function=rule.varying, kind=Kind.RULE, alone=None)


def _are_equal(here: list[Any], there: list[Any]) -> bool:
    return len(here) == len(there) and all(map(_is_equal, here, there))


def _is_equal(here: Any, there: Any) -> bool:
    if not isinstance(here, Tensor):
        return bool(here == there)
    if here.shape != there.shape:
        return False
    if here.layout != torch.strided:
        parts = (tensor.to_sparse_coo().coalesce() for tensor in (here, there))
        first, second = ((part.indices(), part.values()) for part in parts)
        return all(map(torch.equal, first, second))
    is_same = here.data_ptr() == there.data_ptr() and here.stride() == there.stride()
    return is_same or torch.equal(here, there)
