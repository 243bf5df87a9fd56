"""How far off the map is elsewhere, as measured: for networks that have no region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from captum_ilin.certificate import row_maxima
from captum_ilin.derivatives import plain_forward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from captum_ilin.affine import AffineMap

__all__ = ["validity"]


def validity(
    affine_map: AffineMap, direction: tuple[Tensor, ...], steps: Sequence[float]
) -> Tensor:
    """|F(x0 + s d) − (W (x0 + s d) + b)| / |F(x0)| of each row, (steps, batch)."""
    graph, leaves = affine_map.graph, affine_map.leaves
    at_home = graph.row_products(graph.outputs) + graph.row_bias(graph.outputs)
    slope = graph.row_products(graph.outputs, direction)
    scale = row_maxima(affine_map.outputs)
    errors = []
    for step in steps:
        points = tuple(
            leaf.detach() + step * move for leaf, move in zip(leaves, direction, strict=True)
        )
        with affine_map.freezing.autocast.restored():
            plain = plain_forward(affine_map.forward_func, points, affine_map.constants)
        errors.append(row_maxima(plain.detach() - (at_home + step * slope)) / scale)
    return torch.stack(errors)
