"""Ops that write constants into their first argument, between two points.

The constant is written by ``copy_``, which is reported where it is another one at the baseline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.rules import constants
from captum_ilin.rules.passthrough import register_hook
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from captum_ilin.rule import Op

__all__ = ["RULES"]

RULES = RuleTable()


def _writes(op_: Op) -> None:
    @RULES.decomposes(op_)
    def constant(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        with torch.no_grad():
            value = op_(input.detach().clone(), *args, **kwargs)
        return input.copy_(value.detach())


for _op, _rule in constants.RULES.items():
    if _rule.inplace:
        _writes(_op)

RULES.decomposes(Tensor.register_hook)(register_hook)
