"""Which op is at fault when a map is not exact, or a value not finite: call by call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.arguments import mapped, tensors
from captum_ilin.freezing import Freezing
from captum_ilin.ledger import Ledger
from captum_ilin.location import Site
from captum_ilin.ruletable import Kind

if TYPE_CHECKING:
    from captum_ilin.affine import AffineMap
    from captum_ilin.arguments import Arguments
    from captum_ilin.ruletable import Op, Rule

__all__ = ["WatchingFinite", "first_inexact_op"]


def first_inexact_op(affine_map: AffineMap, tolerance: float) -> str:
    """A sentence naming the first call whose rule does not equal its op."""
    diagnosing = Diagnosing(affine_map.freezing.rules, tolerance)
    with diagnosing.run():
        entered = [diagnosing.enter(leaf) for leaf in affine_map.leaves]
        affine_map.forward_func(*entered, *affine_map.constants)
    if diagnosing.findings:
        return f"First op at fault: {diagnosing.findings[0]}"
    return (
        "Every op on its own is exact, so something between the ops breaks the map: "
        "a forward function that gives different values each time, or code that changes "
        "tensors where no op call is seen (NumPy, .data, a custom autograd.Function)."
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
            self.finding = Site(self._locator.path(), rule.name)
        return result


def _is_not_finite(value: Tensor) -> Tensor:
    return ~torch.isfinite(value)


class Diagnosing(Freezing):
    """Freezing that also compares each rule with its op."""

    def __init__(self, rules: Any, tolerance: float) -> None:
        super().__init__(rules, ledger=Ledger())
        self.tolerance = tolerance
        self.findings: list[str] = []

    def _freeze(self, op: Op, rule: Rule, arguments: Arguments) -> Any:
        expected = None
        if rule.kind is Kind.RULE and not self.findings:
            args, kwargs = mapped((arguments.args, arguments.kwargs), _copy)
            value = op(*args, **kwargs)
            expected = tensors(args[0] if rule.inplace else value)
        result = super()._freeze(op, rule, arguments)
        if expected is not None:
            written = arguments.args[0] if rule.inplace else result
            self._compare(rule, expected, tensors(written))
        return result

    def _compare(self, rule: Rule, expected: list[Tensor], got: list[Tensor]) -> None:
        for wanted, value in zip(expected, got, strict=False):
            if not wanted.is_floating_point():
                continue
            scale = wanted.abs().max() if wanted.numel() else torch.zeros(())
            error = (wanted - value.detach()).abs()
            if not bool((error <= self.tolerance * scale).all()):
                path = self._locator.path()
                where = f" in module {path!r}" if path else ""
                self.findings.append(
                    f"{rule.name}{where} (treated op number {self.order}): its rule's value "
                    f"differs from the op's by {float(error.max()):.1e}. Correct the rule; "
                    "check_rule tests it alone."
                )
                return


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()
