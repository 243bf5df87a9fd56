"""Rules between two points, Δy = D Δz: what each op of a table becomes.

An op that is affine, constant or defined by simpler ones stays as it is. Functions of each
element are rescaled, products taken midway; families with rules of their own have a file each.
What is left has no rule between two points: its tangent midway, reported, and the remainder
shows in the certificate.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from captum_ilin.rule import Kind, Op, Rule, plain_name
from captum_ilin.rules.between import midway, written
from captum_ilin.rules.bilinear import multiplied, multiplied_matrices
from captum_ilin.rules.references import (
    distances,
    inverses,
    left,
    losses,
    normalization,
    numbers,
    ordering,
    polynomials,
    pooling,
    pools,
    scattered,
    selections,
    softmaxes,
    spelled,
    writes,
)
from captum_ilin.rules.references.names import (
    ELEMENTWISE,
    MATRIX_PRODUCTS,
    OF_DEGREE_TWO,
    PIECEWISE,
    PRODUCTS,
    TOGETHER,
)
from captum_ilin.rules.references.varying import with_varying
from captum_ilin.rules.rescale import piecewise_rescaling, rescaled, rescaled_in_place
from captum_ilin.rules.together import together
from captum_ilin.ruletable import RuleTable
from captum_ilin.tangent import out_of_place

if TYPE_CHECKING:
    from captum_ilin.rules.rescale import Chord

__all__ = ["references_of"]

_FAMILIES = (
    spelled.RULES,
    softmaxes.RULES,
    normalization.RULES,
    distances.RULES,
    pooling.RULES,
    selections.RULES,
    ordering.RULES,
    numbers.RULES,
    polynomials.RULES,
    inverses.RULES,
    scattered.RULES,
    pools.RULES,
    losses.RULES,
    writes.RULES,
    left.RULES,
)
_LEFT = "no rule between two points is known"


def references_of(table: RuleTable) -> RuleTable:
    """``table`` with every rule that holds at one point replaced by one between two."""
    found = RuleTable({op: _between(op, rule) for op, rule in table.items()})
    for family in _FAMILIES:
        found = found | family
    return RuleTable({op: with_varying(op, rule) for op, rule in found.items()})


def _between(op: Op, rule: Rule) -> Rule:
    if rule.kind not in (Kind.RULE, Kind.LINEAR, Kind.AFFINE):
        return rule
    if rule.kind is not Kind.RULE and not rule.is_piecewise:
        return rule
    plain = rule.plain or (partial(out_of_place, op) if rule.inplace else op)
    name = plain_name(rule.plain or op)
    if name in PIECEWISE:
        return _rescaled(rule, plain, chord=piecewise_rescaling, writing=op)
    if name in ELEMENTWISE:
        return _rescaled(rule, plain)
    if name in PRODUCTS:
        return _replaced(rule, plain, multiplied)
    if name in MATRIX_PRODUCTS:
        return _replaced(rule, plain, multiplied_matrices)
    if name in TOGETHER:
        return _replaced(rule, plain, together)
    if name in OF_DEGREE_TWO:
        return _replaced(rule, plain, midway)
    return Rule(op, Kind.UNREGISTERED, rule.name, rule.rank, rule.inplace, reason=_LEFT)


def _rescaled(
    rule: Rule, plain: Op, *, chord: Chord | None = None, writing: Op | None = None
) -> Rule:
    if rule.inplace:
        return _with(rule, partial(rescaled_in_place, plain, chord=chord, writing=writing))
    return _with(rule, partial(rescaled, plain, chord=chord))


def _replaced(rule: Rule, plain: Op, between: Op) -> Rule:
    function = partial(written, plain, between) if rule.inplace else partial(between, plain)
    return _with(rule, function)


def _with(rule: Rule, function: Op) -> Rule:
    return Rule(
        function,
        Kind.RULE,
        rule.name,
        rule.rank,
        rule.inplace,
        rule.plain,
        mixes=rule.mixes,
        is_elementwise=rule.is_elementwise,
        alone=rule.alone,
    )
