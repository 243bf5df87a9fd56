"""``FrozenGraph``: the recorded graph of one frozen run, read row by row.

The shape of an element does not tell which row of the batch it belongs to (windows,
sequence-first layouts, tables shared by all rows). Weights r of the rows do: every sum read
here is linear in r·output, so that its derivative with respect to r is the sum of each row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.casting import NO_AUTOCAST

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.ledger import Entry, Ledger

__all__ = ["FrozenGraph"]


@dataclass(frozen=True)
class FrozenGraph:
    """Outputs that are affine in the leaves.

    Attributes:
        outputs: (batch, \\*out), with its graph.
        leaves: the inputs it is the graph of.
        ledger: the constants that enter on the way; None if none were noted.
    """

    outputs: Tensor
    leaves: tuple[Tensor, ...]
    ledger: Ledger | None

    def row_bias(self, output: Tensor) -> Tensor:
        """b of each row of ``output``, which is made from the graph's outputs."""
        if not output.requires_grad:
            return output.detach()
        return self._by_row(
            output,
            lambda weighted: [
                term for _, terms in self.terms(weighted, create_graph=True) for term in terms
            ],
        )

    def row_products(self, output: Tensor, points: tuple[Tensor, ...] | None = None) -> Tensor:
        """<W, x> of each row, whichever dimension of x is the batch, if any is.

        x is x0, unless other points are given.
        """
        points = tuple(leaf.detach() for leaf in self.leaves) if points is None else points

        def products(weighted: Tensor) -> list[Tensor]:
            weights = torch.autograd.grad(
                weighted, self.leaves, create_graph=True, retain_graph=True, allow_unused=True
            )
            return [
                weight * point
                for weight, point in zip(weights, points, strict=True)
                if weight is not None
            ]

        return self._by_row(output, products)

    def terms(self, output: Tensor, *, create_graph: bool) -> list[tuple[Entry, list[Tensor]]]:
        """∂G/∂y ∘ c of every entry of the ledger that reaches ``output``."""
        if self.ledger is None:
            return []
        return self.ledger.terms(output, create_graph=create_graph)

    def _by_row(self, output: Tensor, terms: Callable[[Tensor], list[Tensor]]) -> Tensor:
        """The sum of ``terms`` of r·output, for each row: its derivative with respect to r."""
        rows = torch.ones_like(output).requires_grad_()
        total = torch.zeros_like(output).sum()
        if output.requires_grad:
            with torch.enable_grad(), NO_AUTOCAST.restored():
                for term in terms((output * rows).sum()):
                    total = total + term.sum()
        if not total.requires_grad:
            return torch.zeros_like(rows).detach()
        with NO_AUTOCAST.restored():
            (sums,) = torch.autograd.grad(
                total, rows, allow_unused=True, materialize_grads=True
            )
        return sums
