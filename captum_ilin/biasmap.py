"""``BiasMap``: b by place, Σ places + rest = b for each row.

Each entry of a bias ledger is summed over all but its places and laid over one grid that all
entries share, its sum kept. An entry without places counts in the rest.

FullGrad draws such maps, of absolute values rescaled layer by layer (Srinivas & Fleuret 2019,
Full-Gradient Representation for Neural Network Visualization, eq. 4). Here signs and sums are
kept, so that the maps add up to b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from captum_ilin.errors import LedgerError
from captum_ilin.layouts import places
from captum_ilin.spreading import spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import Tensor

    from captum_ilin.layouts import Layout
    from captum_ilin.location import Site

__all__ = ["BiasMap", "cut_to", "map_of"]


@dataclass(frozen=True, repr=False)
class BiasMap:
    """Where on a grid the constants count, and what has no place on it.

    Attributes:
        total: the sum of all maps, (rows, \\*size).
        rest: what entries without places add, (rows,).
        placed: (module path, op) → map of the constants that entered there, (rows, \\*size).
        unplaced: (module path, op) → their sum, (rows,), of every entry in the rest.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> nn = torch.nn
    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(32, 1)).double()
    >>> affine_map = linearize(model, torch.randn(3, 1, 6, 6).double())
    >>> bias_map = affine_map.bias_ledger().by_place((6, 6))
    >>> bias_map
    BiasMap(3 rows of (6, 6), 1 entries placed, 1 in the rest)
    >>> torch.allclose(bias_map.total.sum((1, 2)) + bias_map.rest, affine_map.bias())
    True
    """

    total: Tensor
    rest: Tensor
    placed: dict[Site, Tensor]
    unplaced: dict[Site, Tensor]

    def __repr__(self) -> str:
        rows, *size = self.total.shape
        return (
            f"BiasMap({rows} rows of {tuple(size)}, {len(self.placed)} entries placed, "
            f"{len(self.unplaced)} in the rest)"
        )

    def by_module(self, depth: int | None = None) -> dict[str, Tensor]:
        """The maps of each module, (rows, \\*size), in the order of the calls.

        Args:
            depth (int, optional): how many names of a module's path to keep. Default: None,
                every module apart.

        Raises:
            LedgerError: the depth is negative or not an int.
        """
        return grouped(self.placed, cut_to(depth))


def cut_to(depth: int | None) -> Callable[[Site], str]:
    """A site's module path, of which ``depth`` names are kept."""
    if depth is None:
        return lambda site: site.module
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 0:
        raise LedgerError(
            "depth must be an int >= 0, how many names of a module's path to keep, or None "
            f"for all of them, but got {depth!r}."
        )
    return lambda site: ".".join(site.module.split(".")[:depth])


def grouped(values: dict[Site, Tensor], name: Callable[[Site], str]) -> dict[str, Tensor]:
    """The sums of the values that ``name`` calls the same, in order."""
    found: dict[str, Tensor] = {}
    for site, value in values.items():
        key = name(site)
        found[key] = found[key] + value if key in found else value
    return found


def map_of(
    rows: Iterable[Mapping[Site, Tensor]],
    blank: Tensor,
    size: Sequence[int],
    layout: Layout,
    *,
    smooth: bool,
) -> BiasMap:
    """The map of ledgers of one row each; ``blank`` is (rows,)."""
    total, rest = blank.new_zeros(len(blank), *size), torch.zeros_like(blank)
    placed: dict[Site, Tensor] = {}
    unplaced: dict[Site, Tensor] = {}
    for row, ledger in enumerate(rows):
        for site, entry in ledger.items():
            cells = places(layout, site, entry)
            if cells is None or cells.dim() != len(size):
                found, value, whole = unplaced, entry.sum(), rest
            else:
                found, value, whole = placed, spread(cells, size, smooth=smooth), total
            found.setdefault(site, torch.zeros_like(whole))[row] = value
            whole[row] += value
    return BiasMap(total, rest, placed, unplaced)
