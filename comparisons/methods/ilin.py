"""ILIN under each named rule table, as it is and against a baseline.

W ∘ x adds up to F(x) − b. W ∘ (x − x') of a map frozen at x adds up to F(x) − (W x' + b), and
W x' + b is the map of x read at x': not F(x'), which has a map of its own. Of a map frozen
between the two points, ``ILIN-reference``, W ∘ (x − x') adds up to F(x) − F(x').
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from captum_ilin import (
    ATTNLRP_RULES,
    DEFAULT_RULES,
    REFERENCE_RULES,
    SPLIT_RULES,
    TANGENT_RULES,
    InstanceWiseLinearization,
)
from comparisons.methods.method import Method
from comparisons.methods.offsets import value_at_baseline

if TYPE_CHECKING:
    from torch import Tensor, nn

    from captum_ilin import RuleTable
    from comparisons.methods.method import Explain, Setting

__all__ = ["METHODS", "TABLES", "BaselineILIN", "ReferenceILIN"]

TABLES = {
    table.name: table for table in (DEFAULT_RULES, TANGENT_RULES, ATTNLRP_RULES, SPLIT_RULES)
}
"""The tables of one point, by name."""


class BaselineILIN:
    """W ∘ (x − x').

    Args:
        model: what is explained.
        rules: how each op is frozen.
        baseline: x', (1, \\*features).
    """

    multiplies_by_inputs = True

    def __init__(self, model: Any, rules: RuleTable, baseline: Tensor) -> None:
        self.ilin = InstanceWiseLinearization(model, multiply_by_inputs=False, rules=rules)
        self.baseline = baseline

    def attribute(self, inputs: Tensor, target: Any = None) -> Tensor:
        """(batch, \\*features)"""
        weight: Tensor = self.ilin.attribute(inputs, target=target)
        return weight * (inputs.detach() - self.baseline.to(inputs))


class ReferenceILIN:
    """W ∘ (x − x') of the map between x' and x.

    Args:
        model: what is explained.
        baseline: x', (1, \\*features).
    """

    multiplies_by_inputs = True

    def __init__(self, model: Any, baseline: Tensor) -> None:
        self.ilin = InstanceWiseLinearization(model, rules=REFERENCE_RULES)
        self.baseline = baseline

    def attribute(self, inputs: Tensor, target: Any = None) -> Tensor:
        """(batch, \\*features)"""
        baselines = self.baseline.to(inputs).expand_as(inputs)
        found: Tensor = self.ilin.attribute(inputs, target=target, baselines=baselines)
        return found


def _ilin(name: str, rules: RuleTable) -> Method:
    def make(setting: Setting) -> Explain:
        return partial(InstanceWiseLinearization, rules=rules)

    return Method(
        name,
        make,
        is_contribution=True,
        about=f"W ∘ x of the affine map under {rules.name}; b is its ledger's (Li 2023)",
        offset=lambda model, inputs, target, setting: _bias(model, rules, inputs, target),
        parameters={"rules": rules.name},
    )


def _against_baseline(name: str, rules: RuleTable) -> Method:
    def make(setting: Setting) -> Explain:
        return partial(BaselineILIN, rules=rules, baseline=setting.baseline)

    def offset(model: nn.Module, inputs: Tensor, target: Any, setting: Setting) -> Tensor:
        ilin = InstanceWiseLinearization(model, multiply_by_inputs=False, rules=rules)
        weight: Tensor = ilin.attribute(inputs, target=target)
        at_baseline = (weight * setting.baseline.to(inputs)).flatten(1).sum(1)
        return at_baseline + _bias(model, rules, inputs, target)

    return Method(
        name,
        make,
        is_contribution=True,
        about=f"W ∘ (x − x') under {rules.name}; adds up to F(x) − (W x' + b)",
        offset=offset,
        parameters={"rules": rules.name, "baseline": "the setting's"},
        uses_baseline=True,
    )


def _reference(name: str) -> Method:
    def make(setting: Setting) -> Explain:
        return partial(ReferenceILIN, baseline=setting.baseline)

    return Method(
        name,
        make,
        is_contribution=True,
        about=(
            f"W ∘ (x − x') of the affine map between x' and x under {REFERENCE_RULES.name}; "
            "adds up to F(x) − F(x')"
        ),
        offset=value_at_baseline,
        parameters={"rules": REFERENCE_RULES.name, "baseline": "the setting's"},
        uses_baseline=True,
    )


def _bias(model: nn.Module, rules: RuleTable, inputs: Tensor, target: Any) -> Tensor:
    """b from the ledger; independent of the attributions and of F."""
    ilin = InstanceWiseLinearization(model, rules=rules)
    return ilin.attribute(inputs, target=target, return_bias=True)[1].detach()


METHODS = (
    _ilin("ILIN", DEFAULT_RULES),
    _ilin("ILIN-tangent", TANGENT_RULES),
    _ilin("ILIN-attnlrp", ATTNLRP_RULES),
    _ilin("ILIN-split", SPLIT_RULES),
    _reference("ILIN-reference"),
    _against_baseline("ILIN-baseline", DEFAULT_RULES),
    _against_baseline("ILIN-tangent-baseline", TANGENT_RULES),
)
