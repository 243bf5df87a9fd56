"""Which op is at fault when a map is not exact, or a value not finite: call by call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.activity import copied
from captum_ilin.arguments import mapped, tensors
from captum_ilin.freezing import Freezing
from captum_ilin.ledger import Ledger
from captum_ilin.probe import fixed_random_like
from captum_ilin.rule import Kind
from captum_ilin.sideeffects import buffers_kept

if TYPE_CHECKING:
    from captum_ilin.affine import AffineMap
    from captum_ilin.arguments import Arguments
    from captum_ilin.location import Site
    from captum_ilin.rule import Op, Rule

__all__ = ["WatchingFinite", "first_inexact_op"]


def first_inexact_op(affine_map: AffineMap, tolerance: float) -> str:
    """A sentence naming the first call whose rule does not equal its op."""
    diagnosing = Diagnosing(affine_map.freezing.rules, tolerance)
    entered = [diagnosing.enter(leaf) for leaf in affine_map.leaves]
    autocast = affine_map.freezing.autocast
    with buffers_kept(affine_map.forward_func), autocast.restored(), diagnosing.run():
        affine_map.forward_func(*entered, *affine_map.constants)
    if diagnosing.finding:
        return f"First op at fault: {diagnosing.finding}"
    return (
        "Every op on its own is exact, so something between the ops breaks the map: "
        "rows that depend on each other (batch norm in training mode, or the nodes of one "
        "graph: explain those as one example, lambda x: model(x[0])), a forward function "
        "that gives different values each time, or code that changes tensors where no op "
        "call is seen (NumPy, .data, a custom autograd.Function)."
    )


class WatchingFinite(Freezing):
    """Freezing that notes the first call whose result has a NaN, or overflows.

    A mask's infinities are meant: an op that is affine may pass them on.
    """

    finding: Site | None = None

    def _freeze(self, op: Op, rule: Rule, arguments: Arguments) -> Any:
        result = super()._freeze(op, rule, arguments)
        values = tensors(arguments.args[0] if rule.inplace else result)
        meant = rule.kind is Kind.AFFINE
        bad = torch.isnan if meant else _is_not_finite
        if self.finding is None and any(bool(bad(value).any()) for value in values):
            self.finding = self._site(rule.name)
        return result


def _is_not_finite(value: Tensor) -> Tensor:
    return ~torch.isfinite(value)


class Diagnosing(Freezing):
    """Freezing that also tests each rule's value, slope and intercept."""

    def __init__(self, rules: Any, tolerance: float) -> None:
        super().__init__(rules, ledger=Ledger())
        self.tolerance = tolerance
        self.finding = ""

    def _freeze(self, op: Op, rule: Rule, arguments: Arguments) -> Any:
        if rule.kind is not Kind.RULE or self.finding:
            return super()._freeze(op, rule, arguments)
        args, kwargs = mapped((arguments.args, arguments.kwargs), _copy)
        value = op(*args, **kwargs)
        expected = tensors(args[0] if rule.inplace else value)
        if not rule.inplace:
            arguments.replace(self._apart)
        result = super()._freeze(op, rule, arguments)
        got = tensors(arguments.args[0] if rule.inplace else result)
        fault = self._fault_of_value(expected, got)
        if not fault and not rule.inplace:
            fault = self._fault_of_slope(arguments.active(), got)
        if fault:
            site = self._site(rule.name)
            self.finding = (
                f"{site} (treated op number {self.order}): {fault} check_rule tests it alone."
            )
        return result

    def _apart(self, tensor: Tensor) -> Tensor:
        """A copy of an active argument: what it was made from may be an argument too."""
        return copied(tensor) if self.activity.rank(tensor) is not None else tensor

    def _fault_of_value(self, expected: list[Tensor], got: list[Tensor]) -> str:
        for wanted, value in zip(expected, got, strict=False):
            if not wanted.is_floating_point() or not wanted.numel():
                continue
            error = (wanted - value.detach()).abs()
            if not bool((error <= self.tolerance * wanted.abs().max()).all()):
                return (
                    f"its rule's value differs from the op's by {float(error.max()):.1e}. "
                    "Correct the rule;"
                )
        return ""

    def _fault_of_slope(self, points: list[Tensor], got: list[Tensor]) -> str:
        """y = D z + c with D constant, along one random vector u of the outputs."""
        outputs = [value for value in got if value.requires_grad]
        if not outputs or not self.ledger:
            return ""
        vectors = [fixed_random_like(output) for output in outputs]
        pulled = torch.autograd.grad(
            outputs, points, vectors, create_graph=True, retain_graph=True, allow_unused=True
        )
        moving = [pull for pull in pulled if pull is not None and pull.requires_grad]
        if _change(moving, points) > 0:
            return "its rule's slope depends on the input. Pass what it freezes to `hold`;"
        along = [
            (pull * point).detach()
            for pull, point in zip(pulled, points, strict=True)
            if pull is not None
        ]
        terms = [*along, *self._intercepts(vectors)]
        values = [(v * o).detach() for v, o in zip(vectors, outputs, strict=True)]
        total = sum(float(value.sum()) for value in values)
        error = abs(total - sum(float(term.sum()) for term in terms))
        size = sum(float(part.abs().sum()) for part in [*values, *terms])
        if error > self.tolerance * size:
            return (
                "its rule's slope times the input plus its intercept is not its value. Pass "
                "what it freezes to `hold`, or correct the intercept;"
            )
        return ""

    def _intercepts(self, vectors: list[Tensor]) -> list[Tensor]:
        """u · c of the latest call."""
        entries = [] if self.ledger is None else self.ledger.entries[-1:]
        constants = [constant for entry in entries for constant in entry.constants()]
        return [v * constant for v, constant in zip(vectors, constants, strict=True)]


def _change(weights: list[Tensor], points: list[Tensor]) -> float:
    """The largest derivative of the weights' sum with respect to a point."""
    if not weights:
        return 0.0
    total = torch.stack(
        [(weight * fixed_random_like(weight)).sum() for weight in weights]
    ).sum()
    changes = torch.autograd.grad(total, points, retain_graph=True, allow_unused=True)
    return max((float(c.abs().max()) for c in changes if c is not None), default=0.0)


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()
