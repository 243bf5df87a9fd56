"""``Waterfall``: one prediction as a sum, F = <W, x> + Σ b_module, bar by bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Waterfall"]


@dataclass(frozen=True)
class Waterfall:
    """What the features give to F, and what the constants of each module add to it.

    Attributes:
        features: <W, x> of each row, (batch,).
        modules: module path → b_module of each row, (batch,), in the order of the calls. The
            path of ops outside any module is empty.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> layer = torch.nn.Linear(3, 1)
    >>> waterfall = linearize(layer, torch.ones(2, 3)).waterfall()
    >>> for name, value in zip(waterfall.names, waterfall.values):
    ...     print(name, tuple(value.shape))
    ⟨W, x⟩ (2,)
    (no module) (2,)
    >>> torch.allclose(waterfall.total, layer(torch.ones(2, 3))[:, 0])
    True
    """

    features: Tensor
    modules: dict[str, Tensor]

    @property
    def names(self) -> tuple[str, ...]:
        """What each bar is called: the features, then the modules."""
        return ("⟨W, x⟩", *(path or "(no module)" for path in self.modules))

    @property
    def values(self) -> Tensor:
        """The bars, (1 + modules, batch), in the order of ``names``."""
        return torch.stack([self.features, *self.modules.values()])

    @property
    def total(self) -> Tensor:
        """F as the bars add up to it, (batch,)."""
        return self.values.sum(0)
