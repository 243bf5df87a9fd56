"""Tables that split products evenly instead of holding their gates.

a · b ↦ ½·a·b0 + ½·a0·b, whichever factor is the gate: the rule of LRP for products that
conserves relevance in any of them (Achtibat et al. 2024, AttnLRP, arXiv 2402.05602,
proposition 3.3). A product holds the factor of the higher gate rank, so what splits them all
is a table in which no value has a rank; one in which scale statistics alone have one splits
all but the products that norms are written out as.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.holding import hold
from captum_ilin.rules.algebra import SOLVES
from captum_ilin.rules.attention import attention_in_full, mixed_values
from captum_ilin.rules.primitives import evenly, released, split
from captum_ilin.rules.recurrent import gated
from captum_ilin.rules.spellings import spellings, writings
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from captum_ilin.rule import Rule

__all__ = ["EXPLICIT", "with_scales_as_gates", "without_gates"]

EXPLICIT = RuleTable()  # products that DEFAULT_RULES hold a factor of without asking its rank


def without_gates(table: RuleTable) -> RuleTable:
    """``table`` where no value is a gate: every product of active factors is split evenly."""
    return RuleTable({op: _ranked(rule, scales=False) for op, rule in table.items()})


def with_scales_as_gates(table: RuleTable) -> RuleTable:
    """``table`` where scale statistics are the only gates: norms written out hold them."""
    return RuleTable({op: _ranked(rule, scales=True) for op, rule in table.items()})


def _ranked(rule: Rule, *, scales: bool) -> Rule:
    """``rule`` with other gate ranks; what passes on its arguments' ranks still does."""
    alone = rule.alone and _ranked(rule.alone, scales=scales)
    rank = None if rule.rank is None else (rule.scale_rank if scales else 0)
    return replace(rule, rank=rank, alone=alone, is_elementwise=False)


@EXPLICIT.freezes(
    *(torch.div, Tensor.div, torch.divide, Tensor.divide),
    *(torch.true_divide, Tensor.true_divide, Tensor.__truediv__, Tensor.__div__),
    inplace=(Tensor.div_, Tensor.divide_, Tensor.true_divide_, Tensor.__itruediv__),
)
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """a · 1/b, whose factors have the ranks of a and b."""
    if rounding_mode is not None:
        return hold(torch.div, input, other, rounding_mode=rounding_mode)
    factors, flowing = released((input, other))
    return (
        torch.div(*factors) if flowing == [0] else split(torch.div, *factors, flowing=flowing)
    )


@EXPLICIT.freezes(Tensor.__rdiv__)
def rdiv(input: Tensor, other: Any) -> Tensor:
    return div(other, input)


@EXPLICIT.freezes(torch.addcdiv, Tensor.addcdiv, inplace=(Tensor.addcdiv_,))
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    return input + value * div(tensor1, tensor2)


EXPLICIT.freezes(*spellings("ldexp"), inplace=writings("ldexp"))(partial(evenly, torch.ldexp))
for _op in SOLVES:  # A⁻¹ · B
    EXPLICIT.freezes(_op)(partial(evenly, _op))


@EXPLICIT.freezes(gated)
def split_gate(gate: Tensor, value: Tensor) -> Tensor:
    """Half through the gate and half through the value, be one of them constant.

    Whether a row's initial state is constant depends, in a packed sequence, on the other
    rows; its halves are the same in any company.
    """
    return split(torch.mul, gate, value, flowing=[0, 1])


@EXPLICIT.decomposes(mixed_values)
def mixed_values_in_full(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> Tensor:
    return attention_in_full(query, key, value, attn_mask, 0.0, is_causal, scale, enable_gqa)
