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
from captum_ilin.location import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.ledger import Entry, Ledger

    Terms = dict[str, list[Tensor]]

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
        named = self.row_biases(output, lambda site: "")
        return named[""] if named else torch.zeros_like(output)

    def row_biases(self, output: Tensor, name: Callable[[Site], str]) -> dict[str, Tensor]:
        """b of each row, apart for the names that ``name`` gives to where a constant entered.

        Cost: one backward pass, and one derivative of it for each name.
        """

        def named(weighted: Tensor, create_graph: bool) -> Terms:
            found: Terms = {}
            for entry, terms in self.terms(weighted, create_graph=create_graph):
                found.setdefault(name(entry.site), []).extend(terms)
            return found

        return self._by_row(output, named)

    def contributions(self, output: Tensor) -> dict[Site, Tensor]:
        """b of one number made from the graph's outputs, by where it entered."""
        if not output.requires_grad:
            return {Site("", "constant"): output.detach()}
        return {
            entry.site if number == 0 else entry.site.output(number): term.detach()
            for entry, terms in self.terms(output, create_graph=False)
            for number, term in enumerate(terms)
        }

    def row_products(self, output: Tensor, points: tuple[Tensor, ...] | None = None) -> Tensor:
        """<W, x> of each row, whichever dimension of x is the batch, if any is.

        x is x0, unless other points are given.
        """
        points = tuple(leaf.detach() for leaf in self.leaves) if points is None else points

        def products(weighted: Tensor, create_graph: bool) -> Terms:
            weights = torch.autograd.grad(
                weighted,
                self.leaves,
                create_graph=create_graph,
                retain_graph=True,
                allow_unused=True,
            )
            return {
                "": [
                    weight * point
                    for weight, point in zip(weights, points, strict=True)
                    if weight is not None
                ]
            }

        if not output.requires_grad:
            return torch.zeros_like(output)
        return self._by_row(output, products)[""]

    def terms(self, output: Tensor, *, create_graph: bool) -> list[tuple[Entry, list[Tensor]]]:
        """∂G/∂y ∘ c of every entry of the ledger that reaches ``output``."""
        if self.ledger is None:
            return []
        return self.ledger.terms(output, create_graph=create_graph)

    def _by_row(
        self, output: Tensor, terms: Callable[[Tensor, bool], Terms]
    ) -> dict[str, Tensor]:
        """The sums of ``terms`` of r·output, for each row: their derivatives in r.

        Of one number alone, the sums at r = 1, because they are linear in r.
        """
        rows = torch.ones_like(output).requires_grad_()
        zero = torch.zeros_like(output).sum()
        several = output.numel() > 1
        with torch.enable_grad(), NO_AUTOCAST.restored():
            totals = {
                name: sum((term.sum() for term in found), start=zero)
                for name, found in terms((output * rows).sum(), several).items()
            }
            if several:
                return {name: _derivative(total, rows) for name, total in totals.items()}
        return {
            name: total.detach().to(output).reshape(output.shape)
            for name, total in totals.items()
        }


def _derivative(total: Tensor, rows: Tensor) -> Tensor:
    if not total.requires_grad:
        return torch.zeros_like(rows).detach()
    (sums,) = torch.autograd.grad(
        total, rows, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return sums
