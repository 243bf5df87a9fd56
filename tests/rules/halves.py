"""Slow references of products: each factor's Jacobian, and the share of it that flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from captum_ilin import ATTNLRP_RULES, DEFAULT_RULES, SPLIT_RULES, TANGENT_RULES

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ROUNDING", "SPLITS", "TABLES", "jacobians", "shared"]


SPLITS = pytest.mark.parametrize("rules", [ATTNLRP_RULES, SPLIT_RULES], ids=lambda r: r.name)


TABLES = (DEFAULT_RULES, TANGENT_RULES, ATTNLRP_RULES, SPLIT_RULES)


ROUNDING = {"rtol": 1e-12, "atol": 1e-12}  # some thousand roundings of numbers near 1


def jacobians(op: Callable[..., Tensor], args: tuple[Any, ...]) -> tuple[Tensor, list[Tensor]]:
    """The value, flat, and a dense Jacobian for each argument that requires gradients."""
    places = [i for i, arg in enumerate(args) if isinstance(arg, Tensor) and arg.requires_grad]
    points = tuple(args[i].detach() for i in places)

    def call(*points: Tensor) -> Tensor:
        full = [arg.detach() if isinstance(arg, Tensor) else arg for arg in args]
        for place, point in zip(places, points, strict=True):
            full[place] = point
        return op(*full).reshape(-1)

    parts = torch.autograd.functional.jacobian(call, points)
    rows = len(call(*points))
    return call(*points), [part.reshape(rows, -1) for part in parts]


def shared(
    op: Callable[..., Tensor], args: tuple[Any, ...], *shares: float
) -> tuple[Tensor, Tensor]:
    """(D, c): each active argument's Jacobian times its share, and what the value has left."""
    value, parts = jacobians(op, args)
    points = [arg for arg in args if isinstance(arg, Tensor) and arg.requires_grad]
    slopes = [share * part for share, part in zip(shares, parts, strict=True)]
    moved = sum(s @ p.detach().reshape(-1) for s, p in zip(slopes, points, strict=True))
    return torch.cat(slopes, 1), value - moved
