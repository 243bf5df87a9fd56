"""Ops that exported programs call and that no Python function spells the same way."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ilin.rule import Kind
from captum_ilin.ruletable import RuleTable

__all__ = ["RULES"]

_aten = torch.ops.aten

RULES = RuleTable()

RULES.runs(
    Kind.LINEAR,
    *(_aten.slice.Tensor, _aten.index.Tensor, _aten.alias.default, _aten._to_copy.default),
    *(_aten._unsafe_view.default, _aten.lift_fresh_copy.default),
)


@RULES.decomposes(_aten._softmax.default)
def softmax(input: Tensor, dim: int, half_to_float: bool) -> Tensor:
    return torch.softmax(input, dim, torch.float32 if half_to_float else None)


@RULES.decomposes(_aten._log_softmax.default)
def log_softmax(input: Tensor, dim: int, half_to_float: bool) -> Tensor:
    return torch.log_softmax(input, dim, torch.float32 if half_to_float else None)
