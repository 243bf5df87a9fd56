"""Where the places are in an op's output: on a plane, along a line, at a token.

A layout is given one entry of a bias ledger and returns it summed over all but its places, so
that only these dimensions are left, or None if it has none. A shape alone does not tell: of
four dimensions are images, but also attention scores. What is not stated has no place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.location import Site

    Layout = Callable[[Site, Tensor], Tensor | None]

__all__ = ["by_definition", "channels_first", "channels_last", "places", "tokens_at"]

_PLACES_OF_CONVOLUTIONS = {
    f"{name}{dims}d": dims for name in ("conv", "conv_transpose") for dims in (1, 2, 3)
}
_NORMS = frozenset({"batch_norm", "group_norm", "instance_norm"})


def by_definition(site: Site, entry: Tensor) -> Tensor | None:
    """The places of convolutions and of batch, group and instance norms.

    PyTorch defines their outputs: of ``conv2d`` the last two dimensions are places, with or
    without a batch; of a norm all but the first two. An elementwise op takes any layout, so
    it is not among them.

    >>> import torch
    >>> from captum_ilin import Site, by_definition
    >>> by_definition(Site("conv", "conv2d"), torch.ones(2, 8, 4, 5)).shape
    torch.Size([4, 5])
    >>> by_definition(Site("relu", "relu6"), torch.ones(2, 8, 4, 5))
    """
    dims = _PLACES_OF_CONVOLUTIONS.get(site.op_name)
    if dims is not None:
        return entry.sum(list(range(entry.dim() - dims)))
    return channels_first(site, entry) if site.op_name in _NORMS else None


def channels_first(site: Site, entry: Tensor) -> Tensor | None:
    """An entry (batch, channels, \\*places), whatever its op.

    >>> import torch
    >>> from captum_ilin import Site, channels_first
    >>> channels_first(Site("relu", "relu6"), torch.ones(2, 8, 4, 5)).shape
    torch.Size([4, 5])
    """
    return entry.sum((0, 1)) if entry.dim() > 2 else None


def channels_last(site: Site, entry: Tensor) -> Tensor | None:
    """An entry (batch, \\*places, channels), whatever its op.

    >>> import torch
    >>> from captum_ilin import Site, channels_last
    >>> channels_last(Site("norm", "layer_norm"), torch.ones(2, 4, 5, 8)).shape
    torch.Size([4, 5])
    """
    return entry.sum((0, -1)) if entry.dim() > 2 else None


def tokens_at(dim: int, tokens: int) -> Layout:
    """Entries of three dimensions with so many tokens at ``dim``.

    Raises:
        LedgerError: three dimensions have none of that number.
    """
    if isinstance(dim, bool) or not isinstance(dim, int) or not -3 <= dim <= 2:
        raise LedgerError(
            "layout must be a function, or a dimension of entries (batch, tokens, features), "
            f"from -3 to 2, but got {dim!r}. Pass 1 for that order, 0 for sequence-first."
        )

    def layout(site: Site, entry: Tensor) -> Tensor | None:
        if entry.dim() != 3 or entry.shape[dim] != tokens:
            return None
        return entry.sum([other for other in range(3) if other != dim % 3])

    return layout


def places(layout: Layout, site: Site, entry: Tensor) -> Tensor | None:
    """What ``layout`` makes of an entry, if it is a tensor that kept the sum.

    Raises:
        LedgerError: it is not.
    """
    found = layout(site, entry)
    if found is None:
        return None
    if not isinstance(found, Tensor):
        raise LedgerError(
            f"The layout returned a {type(found).__name__} for {site}; expected a tensor, or "
            "None for an entry without places."
        )
    kept, wanted = float(found.sum()), float(entry.sum())
    if not abs(kept - wanted) <= _rounding(entry):
        raise LedgerError(
            f"The layout must keep the sum of the entry {site}, {wanted:.6g}, but what it "
            f"returned sums to {kept:.6g}. Sum over what is not a place, as in "
            "entry.sum((0, 1)); do not average or choose."
        )
    return found


def _rounding(entry: Tensor) -> float:
    """What two orders of summation may differ by: 1e3 units of Σ|entry|."""
    finfo = torch.finfo(entry.dtype)
    return 1e3 * finfo.eps * float(entry.abs().sum())
