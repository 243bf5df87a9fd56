"""``LayerMap``: one layer's value inside the affine map of the whole frozen network.

a = W_below x + b_below,  F = W_above a + W_around x + b_around: the network below the layer,
above it, and around it. All three are pieces of one frozen network, so that they compose to
its own map, W = W_above W_below + W_around and b = W_above b_below + b_around.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from captum_ilin.cut import Cut, layer_name, layer_path
from captum_ilin.derivatives import slopes, weights_of
from captum_ilin.frozengraph import FrozenGraph
from captum_ilin.layergraph import check_used, chosen, recorded
from captum_ilin.modes import gradients_on
from captum_ilin.modulepath import modules_at
from captum_ilin.operator import Operator, operator_between
from captum_ilin.space import Space
from captum_ilin.targets import select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from captum_ilin.affine import AffineMap
    from captum_ilin.passage import Passage

    Value = Tensor | tuple[Tensor, ...]

__all__ = ["LayerContributions", "LayerMap", "layer_maps"]


class LayerContributions(NamedTuple):
    """How much of one output passes through each unit of a layer, and how much passes it by.

    ``through + around_features + around_bias == F``, in each row, and
    ``features + bias == units``; each is measured on its own. Where the layer's value is a
    tuple, so are units, features and bias.

    Attributes:
        units: ∂F/∂a ∘ a, shaped like the layer's value a.
        features: ∂F/∂a ∘ (W_below x): what of it goes back to the inputs.
        bias: ∂F/∂a ∘ b_below: what of it goes back to constants that enter below the layer,
            or in it. This is the layer's bias share.
        through: (batch,), the sum of ``units`` over each row, whatever their layout.
        around_features: (batch,), what of F goes back to the inputs and passes the layer by.
        around_bias: (batch,), what constants add to F without passing through the layer: they
            enter above it, or on a path around it.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> layer = torch.nn.Linear(2, 2)
    >>> affine_map = linearize(lambda x: x + layer(x), torch.ones(1, 2))
    >>> found = affine_map.layer(layer).contributions(target=0)
    >>> torch.equal(found.bias[0], torch.stack([layer.bias[0], torch.tensor(0.0)]))
    True
    >>> found.around_features, found.around_bias
    (tensor([1.]), tensor([0.]))
    """

    units: Value
    features: Value
    bias: Value
    through: Tensor
    around_features: Tensor
    around_bias: Tensor


@dataclass(frozen=True, repr=False)
class LayerMap:
    """A layer's value a inside an ``AffineMap``. Made by ``AffineMap.layer``.

    Attributes:
        affine_map: the map of the whole network.
        graph: the same map's graph once more, in which the layer's value is marked.
        cut: the layer, and which side and call of it.
        parts: the layer's value in that graph.
        passage: the ways through it.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> nn = torch.nn
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)).double()
    >>> x = torch.randn(5, 3, dtype=torch.float64)
    >>> affine_map = linearize(model, x)
    >>> layer = affine_map.layer("1")
    >>> layer
    LayerMap('1' (GELU): inputs (5, 3) -> layer (5, 4) -> outputs (5, 2))
    >>> torch.allclose(layer.value, layer.below @ x + layer.below_bias)
    True
    >>> torch.allclose(model(x), layer.above @ layer.value + layer.around_bias)
    True
    """

    affine_map: AffineMap
    graph: FrozenGraph
    cut: Cut
    parts: tuple[Tensor, ...]
    passage: Passage

    def __repr__(self) -> str:
        name = layer_name(self.cut.layer, self.affine_map.forward_func)
        spaces = " -> ".join(map(str, (self._inputs, self._layer, self._outputs)))
        return f"LayerMap({name}: {spaces})"

    @property
    def path(self) -> str:
        """The layer's path in the model; its class where that is not known."""
        path = layer_path(self.cut.layer, self.affine_map.forward_func)
        return type(self.cut.layer).__name__ if path is None else path

    @property
    def value(self) -> Value:
        """a: the layer's value; a tuple of those that are not constant, if several are."""
        return self._shaped(tuple(part.detach() for part in self.parts))

    @cached_property
    def below(self) -> Operator:
        """W_below, from the inputs to the layer's value."""
        return operator_between(
            self._inputs, self.graph.leaves, self._layer, self.parts, self.passage.open
        )

    @cached_property
    def above(self) -> Operator:
        """W_above, from the layer's value to the outputs."""
        outputs = (self.graph.outputs,)
        return operator_between(
            self._layer, self.parts, self._outputs, outputs, self.passage.open
        )

    @cached_property
    def around(self) -> Operator:
        """W_around, from the inputs to the outputs, along paths that pass the layer by."""
        outputs, passing = (self.graph.outputs,), partial(self.passage.closed, self.parts)
        return operator_between(
            self._inputs, self.graph.leaves, self._outputs, outputs, passing
        )

    @cached_property
    def below_bias(self) -> Value:
        """b_below, shaped like the layer's value: a = W_below x + b_below."""
        return self._shaped(self._below_bias)

    @cached_property
    @gradients_on()
    def around_bias(self) -> Tensor:
        """b_around, (batch, \\*out): the constants that reach F without the layer's value."""
        with self.passage.closed(self.parts):
            return self.graph.row_bias(self.graph.outputs)

    @gradients_on()
    def contributions(self, target: Any = None) -> LayerContributions:
        """How much of an output passes through each unit of the layer, and how much around it.

        Args:
            target (optional): any of Captum's target forms; None only for one output per
                example.

        Returns:
            LayerContributions. Sum ``units`` over what is of no interest: of an image's
            (batch, channels, height, width) ``units.sum((2, 3))`` gives channels; of a
            transformer's (batch, tokens, width) ``units.sum(2)`` gives tokens, and of what
            goes into an attention's last projection ``units.unflatten(2, (heads, -1)).sum((1,
            3))`` gives heads.

        Raises:
            LayerError: the output does not use the layer's value.

        Cost: one backward pass above the layer, and five with their derivatives: one above
            it, two through everything, and two below it, which are kept for other targets.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> nn = torch.nn
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)).double()
        >>> x = torch.randn(5, 3, dtype=torch.float64)
        >>> found = linearize(model, x).layer("1").contributions(target=0)
        >>> torch.allclose(found.units, found.features + found.bias)
        True
        >>> torch.allclose(found.through + found.around_bias, model(x)[:, 0])
        True
        """
        output = select(self.graph.outputs, target)
        with self.passage.open():
            return self._contributions(output)

    def _contributions(self, output: Tensor) -> LayerContributions:
        found = slopes(output, self.parts, retain_graph=True)
        if all(slope is None for slope in found):
            check_used(self.affine_map, self.cut)
        weights = weights_of(found, self.parts)
        values = tuple(part.detach() for part in self.parts)
        above = FrozenGraph(self.graph.outputs, self.parts, None)
        with self.passage.closed(self.parts):
            around = self.graph.row_products(output), self.graph.row_bias(output)
        return LayerContributions(
            units=self._times(weights, values),
            features=self._times(weights, self._below_products),
            bias=self._times(weights, self._below_bias),
            through=above.row_products(output, values),
            around_features=around[0],
            around_bias=around[1],
        )

    @cached_property
    def _below_products(self) -> tuple[Tensor, ...]:
        """W_below x0, each part measured by itself."""
        return tuple(self.graph.row_products(part) for part in self.parts)

    @cached_property
    def _below_bias(self) -> tuple[Tensor, ...]:
        with gradients_on(), self.passage.open():
            return tuple(self.graph.row_bias(part) for part in self.parts)

    @property
    def _inputs(self) -> Space:
        leaves = tuple(leaf.detach() for leaf in self.graph.leaves)
        return Space("inputs", leaves, isinstance(self.affine_map.inputs, tuple))

    @property
    def _layer(self) -> Space:
        return Space("layer", tuple(p.detach() for p in self.parts), len(self.parts) > 1)

    @property
    def _outputs(self) -> Space:
        return Space("outputs", (self.graph.outputs.detach(),))

    def _times(self, weights: Sequence[Tensor], values: Sequence[Tensor]) -> Value:
        return self._shaped(tuple(w * v for w, v in zip(weights, values, strict=True)))

    def _shaped(self, parts: tuple[Tensor, ...]) -> Value:
        return parts if len(parts) > 1 else parts[0]


def layer_maps(
    affine_map: AffineMap, paths: Sequence[Any], *, call: int | None = None, at_input: bool
) -> list[LayerMap]:
    """The maps of several layers, from one run."""
    modules = modules_at(paths, affine_map.forward_func)
    cuts = [Cut(module, at_input, option="at_input") for module in modules]
    graph, calls, passage = recorded(affine_map, cuts)
    maps = []
    for cut, values in zip(cuts, calls, strict=True):
        value = chosen(values, cut, call, affine_map.forward_func)
        called = replace(cut, call=value.number)
        maps.append(LayerMap(affine_map, graph, called, value.parts, passage))
    return maps
