"""``layer_shares``: one output split among several layers, without counting anything twice.

Layers pass on what others passed them, so that what passes through each does not add up. What
each hands on *directly* does: with every layer's value taken as free, the frozen network is
affine in all of them and in the input, F = Σ_l D_l a_l + W_around x + b_around. D_l counts the
paths from layer l to the output that meet no other of the layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from captum_ilin.errors import LayerError
from captum_ilin.frozengraph import FrozenGraph
from captum_ilin.layermap import LayerMap, layer_maps
from captum_ilin.targets import select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from captum_ilin.affine import AffineMap

__all__ = ["LayerShares", "layer_shares"]


class LayerShares(NamedTuple):
    """What several layers hand on to one output directly: ``sum(shares) == F`` in each row.

    Attributes:
        paths: of the layers, in the order in which they were given.
        direct: (layers, batch), D_l a_l: what of F comes from a layer's value along paths that
            meet no other of the layers.
        around_features: (batch,), what goes back to the inputs and passes all of them by.
        around_bias: (batch,), what constants add to F without passing through any of them.

    >>> import torch
    >>> LayerShares(("0",), torch.ones(1, 2), torch.zeros(2), torch.zeros(2)).total
    tensor([1., 1.])
    """

    paths: tuple[str, ...]
    direct: Tensor
    around_features: Tensor
    around_bias: Tensor

    @property
    def total(self) -> Tensor:
        """(batch,), the sum of all shares, which is F."""
        return self.direct.sum(0) + self.around_features + self.around_bias


def layer_shares(
    affine_map: AffineMap, paths: Sequence[Any], target: Any, *, at_input: bool
) -> LayerShares:
    """The output split among the layers of one run."""
    if isinstance(paths, (list, tuple)) and not paths:
        raise LayerError(
            "paths is empty: there are no layers to split the output among. Pass the modules "
            "that add to the output, such as residual branches."
        )
    layers = layer_maps(affine_map, paths, at_input=at_input)
    graph = layers[0].graph
    output = select(graph.outputs, target)
    parts = [part for layer in layers for part in layer.parts]
    with layers[0].passage.closed(parts):
        return LayerShares(
            tuple(layer.path for layer in layers),
            torch.stack([_direct(layer, output) for layer in layers]),
            graph.row_products(output),
            graph.row_bias(output),
        )


def _direct(layer: LayerMap, output: Tensor) -> Tensor:
    values = tuple(part.detach() for part in layer.parts)
    return FrozenGraph(layer.graph.outputs, layer.parts, None).row_products(output, values)
