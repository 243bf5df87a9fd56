"""A table's ops, each frozen at its own tangent: W is the Jacobian."""

from __future__ import annotations

from functools import partial

from captum_ilin.ruletable import Kind, Op, Rule, RuleTable
from captum_ilin.tangent import tangent, written_tangent

__all__ = ["tangents_of"]


def tangents_of(table: RuleTable) -> RuleTable:
    """``table`` with every rule replaced by the op's tangent; ops that run as they are stay."""
    return RuleTable({op: _tangent_rule(op, rule) for op, rule in table.items()})


def _tangent_rule(op: Op, rule: Rule) -> Rule:
    if rule.kind is not Kind.RULE:
        return rule
    function = partial(written_tangent, op) if rule.inplace else partial(tangent, op)
    return Rule(function, Kind.RULE, rule.name, rule.rank, rule.inplace)
