"""A table's ops, each frozen at its own tangent: W is the Jacobian."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from captum_ilin.activity import copied
from captum_ilin.rule import Kind, Op, Rule
from captum_ilin.ruletable import RuleTable
from captum_ilin.tangent import tangent

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["tangents_of"]


def tangents_of(table: RuleTable) -> RuleTable:
    """``table`` with every rule that is not the op's tangent replaced by it."""
    return RuleTable({op: _tangent_rule(op, rule) for op, rule in table.items()})


def _tangent_rule(op: Op, rule: Rule) -> Rule:
    if rule.kind is not Kind.RULE or rule.is_tangent:
        return rule
    plain = rule.plain or op
    function = partial(_written, plain) if rule.inplace else partial(tangent, op)
    return replace(rule, function=function, is_tangent=True)


def _written(plain: Op, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return input.copy_(tangent(plain, copied(input), *args, **kwargs))
