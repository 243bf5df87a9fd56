"""What methods that compare with a baseline declare beside the sum of their attributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from comparisons.methods.method import Setting

__all__ = ["value_at_baseline"]


@torch.no_grad()
def value_at_baseline(
    model: nn.Module, inputs: Tensor, target: Any, setting: Setting
) -> Tensor:
    """F(x') by the plain network, (batch,)."""
    value: Tensor = model(setting.baseline.to(inputs))[:, target]
    return value.expand(len(inputs))
