"""Recurrent cells between two points: gates are factors like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from captum_ilin.rules.between import midway
from captum_ilin.rules.recurrent import gated
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULES"]

RULES = RuleTable()


@RULES.freezes(gated)
def product(gate: Tensor, value: Tensor) -> Tensor:
    return midway(torch.mul, gate, value)
