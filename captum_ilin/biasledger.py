"""``BiasLedger``: b by where it entered, by module, by place, and by token.

b_t = Σ_s <∂G_t/∂y_s, c_s>: s runs over the calls of ops that add a constant. Which row of the
batch an element of an op's output belongs to does not show in its shape (windows,
sequence-first layouts, tables shared by all rows), so it is never read from it: each row's
contributions are derivatives of that row's output.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.biasmap import cut_to, grouped, map_of
from captum_ilin.errors import LedgerError
from captum_ilin.layouts import by_definition, tokens_at
from captum_ilin.location import Site
from captum_ilin.modes import gradients_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from captum_ilin.biasmap import BiasMap
    from captum_ilin.frozengraph import FrozenGraph
    from captum_ilin.layouts import Layout

__all__ = ["BiasLedger"]


class BiasLedger(Mapping[Site, Tensor]):
    """(module path, op) → contribution, shaped like the op's output; all rows together.

    Made by ``AffineMap.bias_ledger``. The sum over all entries and elements is the sum of the
    bias over the rows.

    Cost: one backward pass, and each op with a constant once more, on zeros. It keeps the
    map's graph in memory.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> nn = torch.nn
    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    >>> ledger = linearize(model, torch.randn(2, 1, 6, 6)).bias_ledger(target=0)
    >>> ledger
    BiasLedger(2 entries, 2 rows)
    >>> {str(site): tuple(entry.shape) for site, entry in ledger.items()}
    {"conv2d in '0'": (2, 2, 4, 4), "linear in '3'": (2, 3)}
    """

    def __init__(self, graph: FrozenGraph, outputs: Tensor) -> None:
        self._graph, self._outputs = graph, outputs
        self._entries = graph.contributions(outputs.sum())

    def __getitem__(self, site: Site) -> Tensor:
        return self._entries[site]

    def __iter__(self) -> Iterator[Site]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"BiasLedger({len(self)} entries, {len(self._outputs)} rows)"

    @gradients_on()
    def by_module(self, depth: int | None = None) -> dict[str, Tensor]:
        """b of each row, by the module whose constants they are.

        Args:
            depth (int, optional): how many names of a module's path to keep: 1 for the
                network's own children, 0 for one entry of all b. Default: None, every module
                apart.

        Returns:
            module path → (rows,), in the order of the calls. The path of ops outside any
            module is empty. The sum over modules is the bias.

        Raises:
            LedgerError: the depth is negative or not an int.

        Cost: one backward pass for each row, or one and a derivative of it for each module,
        whichever are fewer; nothing more for one row.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> nn = torch.nn
        >>> body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4))
        >>> model = nn.Sequential(body, nn.ReLU(), nn.Linear(4, 2)).double()
        >>> affine_map = linearize(model, torch.randn(5, 3).double())
        >>> ledger = affine_map.bias_ledger(target=1)
        >>> list(ledger.by_module()), list(ledger.by_module(depth=1))
        (['0.0', '0.2', '2'], ['0', '2'])
        >>> torch.allclose(sum(ledger.by_module().values()), affine_map.bias(1))
        True
        """
        name = cut_to(depth)
        names = {name(site) for site in self}
        if len(names) < len(self._outputs) and self._outputs.requires_grad:
            return self._graph.row_biases(self._outputs, name)
        return grouped(self._sums, name)

    @gradients_on()
    def by_place(
        self,
        size: Sequence[int],
        *,
        layout: Layout = by_definition,
        smooth: bool = False,
    ) -> BiasMap:
        """b over the input's plane: each entry summed over channels and laid over it.

        An op's plane is laid over the whole of the input's, edge to edge, each cell's value
        shared among the pixels it covers: M[p] = Σ_c (part of cell c in p) · entry[c]. The sum
        is kept; where in a cell's receptive field the constant belongs, no grid can say, and
        padding moves the cells by less than a kernel.

        Args:
            size: of the input's plane, for example ``x.shape[2:]``; one number for signals,
                two for images, three for volumes.
            layout (optional): what says where an entry has its places: a function (site,
                entry) → entry summed over everything else, or None. Default:
                `by_definition`, convolutions and batch, group and instance norms. An entry
                with none, or not as many dimensions of them as ``size`` has, is in the rest.
            smooth (bool, optional): interpolate linearly between the cells' middles, the sums
                of the cells kept. For display. Default: False.

        Returns:
            BiasMap: total and maps by site, (rows, \\*size), and what has no place, (rows,).

        Raises:
            LedgerError: a size below 1, or a layout that does not keep an entry's sum.

        Cost: one backward pass for each row; nothing more for one row.

        >>> import torch
        >>> from captum_ilin import by_definition, channels_last, linearize
        >>> conv, mix = torch.nn.Conv2d(1, 4, 2, stride=2), torch.nn.Linear(4, 4)
        >>> def model(x):
        ...     return mix(conv(x).movedim(1, -1)).sum((1, 2, 3))
        >>> ledger = linearize(model, torch.randn(2, 1, 6, 6)).bias_ledger()
        >>> [str(site) for site in ledger.by_place((6, 6)).unplaced]
        ['linear']
        >>> def layout(site, entry):
        ...     is_last = site.op_name == "linear"
        ...     return channels_last(site, entry) if is_last else by_definition(site, entry)
        >>> ledger.by_place((6, 6), layout=layout)
        BiasMap(2 rows of (6, 6), 2 entries placed, 0 in the rest)
        """
        return self._placed(_checked(size), layout, smooth=smooth)

    @gradients_on()
    def by_token(self, tokens: int, *, layout: int | Layout) -> BiasMap:
        """b by the token at whose place in the sequence it entered.

        Args:
            tokens: how many there are.
            layout: the dimension of the tokens in entries of three dimensions, 1 for (batch,
                tokens, features), 0 for sequence-first; entries of another shape are in the
                rest. Or a function (site, entry) → (tokens,), the entry summed over
                everything else, or None for an entry without tokens.

        Returns:
            BiasMap: total and maps by site, (rows, tokens), and what has no token, (rows,).

        Raises:
            LedgerError: no entry has that many tokens there, the dimension is the batch's, or
                the layout does not return (tokens,) or does not keep an entry's sum.

        Cost: one backward pass for each row; nothing more for one row.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> nn = torch.nn
        >>> up, down, head = nn.Linear(4, 8), nn.Linear(8, 4), nn.Linear(4, 1)
        >>> def model(x):
        ...     return head((x + down(nn.functional.gelu(up(x)))).mean(1))
        >>> affine_map = linearize(model, torch.randn(2, 5, 4))
        >>> by_token = affine_map.bias_ledger().by_token(5, layout=1)
        >>> by_token
        BiasMap(2 rows of (5,), 2 entries placed, 1 in the rest)
        >>> torch.allclose(by_token.total.sum(1) + by_token.rest, affine_map.bias())
        True
        """
        if not _is_count(tokens):
            raise LedgerError(f"tokens must be an int >= 1, but got {tokens!r}.")
        if callable(layout):
            return self._placed((tokens,), _exactly(layout, tokens))
        found = self._placed((tokens,), tokens_at(layout, tokens))
        self._check_tokens(found, layout, tokens)
        return found

    @cached_property
    def _sums(self) -> dict[Site, Tensor]:
        """What each entry gives to each row, (rows,)."""
        rows = [{s: entry.sum() for s, entry in row.items()} for row in self._by_row()]
        zero = torch.zeros_like(self._outputs).sum().detach()
        return {site: torch.stack([row.get(site, zero) for row in rows]) for site in self}

    def _by_row(self) -> Iterator[Mapping[Site, Tensor]]:
        if len(self._outputs) == 1:
            yield self._entries
            return
        for output in self._outputs:
            yield self._graph.contributions(output)

    def _placed(
        self, size: tuple[int, ...], layout: Layout, *, smooth: bool = False
    ) -> BiasMap:
        blank = torch.zeros_like(self._outputs).detach()
        return map_of(self._by_row(), blank, size, layout, smooth=smooth)

    def _check_tokens(self, found: BiasMap, dim: int, tokens: int) -> None:
        if found.unplaced and not found.placed:
            raise LedgerError(
                f"No entry has three dimensions with {tokens} tokens at dimension {dim}: "
                f"{self._shapes()}. Pass the dimension, or a function (site, entry) -> "
                "(tokens,)."
            )
        for site, by_token in found.placed.items():
            if len(by_token) == tokens > 1 and _is_diagonal(by_token):
                raise LedgerError(
                    f"Dimension {dim} of {site} {tuple(self[site].shape)} seems to be the "
                    f"batch, not the tokens: row i has contributions at place i only, and "
                    f"there are as many rows as tokens, {tokens}. Pass a function (site, "
                    "entry) -> (tokens,), which says it for each entry."
                )

    def _shapes(self, shown: int = 4) -> str:
        each = [f"{site} {tuple(entry.shape)}" for site, entry in self.items()]
        more = len(each) - shown
        return ", ".join(each[:shown]) + (f" and {more} more" if more > 0 else "")


def _checked(size: Sequence[int]) -> tuple[int, ...]:
    numbers = size if isinstance(size, (list, tuple)) else ()
    if not numbers or not all(map(_is_count, numbers)):
        raise LedgerError(
            f"size must be ints >= 1, one for each dimension, but got {size!r}. Pass that of "
            "the input's plane, such as x.shape[2:]."
        )
    return tuple(int(number) for number in numbers)


def _is_count(number: object) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool) and int(number) >= 1


def _exactly(layout: Callable[[Site, Tensor], Tensor | None], tokens: int) -> Layout:
    """``layout``, refused where it returns anything but one number for each token."""

    def checked(site: Site, entry: Tensor) -> Tensor | None:
        found = layout(site, entry)
        if isinstance(found, Tensor) and found.shape != (tokens,):
            raise LedgerError(
                f"The layout must return one number for each of the {tokens} tokens, but for "
                f"{site} {tuple(entry.shape)} it returned {tuple(found.shape)}. Sum over "
                "everything else, or return None for an entry without tokens."
            )
        return found

    return checked


def _is_diagonal(by_token: Tensor) -> bool:
    off = by_token - torch.diag_embed(by_token.diagonal())
    return bool(by_token.diagonal().all()) and not bool(off.any())
