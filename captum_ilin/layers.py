"""The affine map from a layer's value to the output: F(x) = W a + b, a held as it is at x.

The layer's value is the only active one. Everything that does not pass through the layer is
constant at these inputs, so what reaches the output around it (a residual path, a position
embedding, another branch) enters additively as any constant does, and is counted in b by the
ledger. F = <W, a> + b is therefore exact for every layer on its own, and several layers are
several maps, not parts of one sum: those of nested layers explain the same output twice.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from captum_ilin.cut import Cut, resume, values_below
from captum_ilin.derivatives import plain_forward, slopes, weights_of
from captum_ilin.errors import LayerError
from captum_ilin.freezing import Freezing
from captum_ilin.linearization import map_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from captum_ilin.affine import AffineMap
    from captum_ilin.ledger import Ledger
    from captum_ilin.ruletable import RuleTable

__all__ = ["layer_map", "layer_weights"]


def layer_map(
    cut: Cut,
    forward_func: Callable[..., Any],
    inputs: tuple[Tensor, ...],
    constants: tuple[Any, ...],
    *,
    rules: RuleTable,
    strict: bool,
    ledger: Ledger | None,
) -> AffineMap:
    """The map at the layer's value, which becomes the map's ``inputs``.

    Cost: two forward passes, one that reads the value and one that is frozen.
    """
    values, call = values_below(cut, forward_func, inputs, constants)
    above = partial(resume, cut, call, forward_func, inputs, constants)
    freezing = Freezing(rules, strict=strict, ledger=ledger)
    return map_at(above, values, constants=(), freezing=freezing)


def layer_weights(affine_map: AffineMap, cut: Cut, output: Tensor) -> tuple[Tensor, ...]:
    """W of the chosen ``output``: 0 for a tensor of the layer's value that it does not use.

    Raises:
        LayerError: it uses none of them, so there is nothing to explain.
    """
    found = slopes(output, affine_map.leaves, retain_graph=True)
    if all(slope is None for slope in found):
        _check_used(affine_map, cut)
    return weights_of(found, affine_map.leaves)


def _check_used(affine_map: AffineMap, cut: Cut) -> None:
    """A value that only sets gates, which are held, has weight 0; an unused one is an error."""
    plain = plain_forward(affine_map.forward_func, affine_map.leaves, ())
    if all(slope is None for slope in slopes(plain, affine_map.leaves, retain_graph=False)):
        raise LayerError(
            f"The output does not depend on the {cut.side} of the layer "
            f"{type(cut.layer).__name__} through any differentiable path: it is not used, "
            "detached, or turned into integers. Choose a layer on the way to the output."
        )
