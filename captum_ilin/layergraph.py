"""``LayerGraph``: the graph of one frozen run in which the values of chosen layers are marked.

The frozen network is run once more, and each chosen layer hands on a copy of its value, at the
operating point, under the same rules: it is the same affine map. Whatever passes through the
layer's value passes through the copy, and nothing else does, whether the layer hands on its
own input, writes in place, returns a view, or shares its input with a residual path. So a
derivative of the copy belongs to the network below the layer, one with respect to the copy to
the network above it, and one to which the copy is closed to what passes the layer by.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from torch.overrides import BaseTorchFunctionMode

from captum_ilin.arguments import substituted, tensors
from captum_ilin.certificate import repeats
from captum_ilin.checks import check_finite
from captum_ilin.cut import explained_positions, layer_name, not_reached
from captum_ilin.derivatives import slopes
from captum_ilin.errors import LayerError, LayerTypeError, NotExactError
from captum_ilin.frozengraph import FrozenGraph
from captum_ilin.ledger import Ledger
from captum_ilin.modes import gradients_on, running_eagerly
from captum_ilin.passage import Passage
from captum_ilin.sideeffects import buffers_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor
    from torch.autograd.graph import Node

    from captum_ilin.affine import AffineMap
    from captum_ilin.cut import Cut
    from captum_ilin.freezing import Freezing

__all__ = [
    "LayerGraph",
    "LayerValue",
    "check_reached",
    "check_used",
    "check_value",
    "chosen",
    "recorded",
]


class LayerValue(NamedTuple):
    """What one call of a layer hands on.

    Attributes:
        parts: its active tensors, in the graph; nobody writes to them.
        handed: the graph's nodes at which the network above takes them.
        number: of the call.
        order: how many calls of the chosen layers came before.
    """

    parts: tuple[Tensor, ...]
    handed: tuple[Node | None, ...]
    number: int
    order: int


class LayerGraph(NamedTuple):
    """The graph, and the values that each of the chosen layers hands on, call by call."""

    graph: FrozenGraph
    calls: list[list[LayerValue]]
    passage: Passage


def recorded(affine_map: AffineMap, cuts: Sequence[Cut]) -> LayerGraph:
    """The map's graph with the values of the layers of these cuts.

    Raises:
        NotExactError: the forward function is not what it was, or a copy is not what it needs.

    Cost: one forward pass, and the memory of its graph.
    """
    freezing = affine_map.freezing.again(Ledger())
    entered = [freezing.enter(leaf) for leaf in affine_map.leaves]
    with affine_map.freezing.autocast.restored(), freezing.run():
        outputs, calls = _run(affine_map, cuts, entered, freezing)
    outputs = freezing.finish(outputs)
    _check_same(outputs, affine_map)
    graph = FrozenGraph(outputs, affine_map.leaves, freezing.ledger)
    return LayerGraph(graph, calls, Passage())


def _run(
    affine_map: AffineMap,
    cuts: Sequence[Cut],
    points: Sequence[Tensor],
    freezing: Freezing | None,
) -> tuple[Any, list[list[LayerValue]]]:
    """The outputs at ``points``, and the values that each layer hands on, call by call."""
    order = count()
    calls: list[list[LayerValue]] = [[] for _ in cuts]
    with buffers_kept(affine_map.forward_func), ExitStack() as hooks:
        for cut, found in zip(cuts, calls, strict=True):
            hooks.enter_context(cut.visited(_handing_on_copies(cut, found, order, freezing)))
        outputs = affine_map.forward_func(*points, *affine_map.constants)
    return outputs, calls


def _handing_on_copies(
    cut: Cut, calls: list[LayerValue], order: Iterator[int], freezing: Freezing | None
) -> Callable[[Any], Any]:
    """Two copies: one is kept, and the one that the network may write to is made from it."""

    def visit(value: Any) -> Any:
        positions = explained_positions(value, cut)
        found = tensors(value)
        kept = [_copied(found[position], freezing) for position in positions]
        handed = [_copied(copy, freezing) for copy in kept]
        active = [number for number, copy in enumerate(kept) if _is_active(copy, freezing)]
        parts = tuple(kept[number] for number in active)
        nodes = tuple(handed[number].grad_fn for number in active)
        calls.append(LayerValue(parts, nodes, len(calls), next(order)))
        return substituted(value, positions, handed)

    return visit


def _copied(value: Tensor, freezing: Freezing | None) -> Tensor:
    """A copy that rules take for the value itself, as to what it was made from."""
    if freezing is None:
        return value.clone()
    with freezing.beside_the_function():
        copy = value.clone()
    if freezing.activity.rank(copy) is not None:
        freezing.activity.set_origin(copy, freezing.activity.common_origin([value]))
    return copy


def _is_active(value: Tensor, freezing: Freezing | None) -> bool:
    return freezing is None or freezing.activity.rank(value) is not None


def chosen(
    calls: Sequence[LayerValue], cut: Cut, number: int | None, forward_func: Any
) -> LayerValue:
    """What the layer hands on at the call of this number; None if it is called once.

    Raises:
        LayerError: it is not called, not as often, or its value is constant.
    """
    check_reached(calls, cut, forward_func)
    name = layer_name(cut.layer, forward_func)
    if number is None and len(calls) > 1:
        raise LayerError(
            f"The layer {name} is called {len(calls)} times, and call does not say which call "
            f"is meant. Pass call=0 for the first up to call={len(calls) - 1} for the last, or "
            "give each place in the model a module of its own."
        )
    number = 0 if number is None else number
    if isinstance(number, bool) or not isinstance(number, int):
        raise LayerTypeError(
            f"call is a {type(number).__name__}; expected an int, the number of one of the "
            f"{len(calls)} calls of the layer {name}. Pass 0 for the first, -1 for the last."
        )
    if not -len(calls) <= number < len(calls):
        raise LayerError(
            f"The layer {name} is called {_times(len(calls))}, so there is no call number "
            f"{number}. Calls are numbered from 0; -1 is the last."
        )
    check_value(calls[number], cut, forward_func)
    return calls[number]


def check_reached(calls: Sequence[LayerValue], cut: Cut, forward_func: Any) -> None:
    """The layer is called."""
    if not calls:
        raise not_reached(cut, forward_func)


def check_value(value: LayerValue, cut: Cut, forward_func: Any) -> None:
    """What the layer hands on depends on the inputs, and is finite."""
    what = f"The {cut.side} of the layer {layer_name(cut.layer, forward_func)}"
    if not value.parts:
        raise LayerError(
            f"{what} does not depend on the inputs, so it is constant in this map, and what it "
            "adds to the output is in the bias: see bias_ledger. LayerILIN explains the output "
            "by a layer's value alone."
        )
    for part in value.parts:
        check_finite(part, what)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _check_same(outputs: Tensor, affine_map: AffineMap) -> None:
    """Copies leave the outputs as they were, unless something relied on shared memory."""
    if repeats(affine_map, outputs):
        return
    raise NotExactError(
        "The outputs are others when the layer hands on a copy of its value. Either the "
        "forward function gives other outputs at each call (dropout in training mode, chance, "
        "a counter), or it writes into the value and counts on another tensor sharing its "
        "memory. Put the model into evaluation mode, use what the layer returns, or ask for "
        "the other side of the layer (at_input)."
    )


def check_used(affine_map: AffineMap, cut: Cut) -> None:
    """A value that only sets gates, which are held, has slope 0; an unused one is an error."""
    with gradients_on(), running_eagerly(), BaseTorchFunctionMode():
        points = [leaf.clone() for leaf in affine_map.leaves]
        outputs, (calls,) = _run(affine_map, [cut], points, None)
    found = slopes(outputs, calls[cut.call].parts, retain_graph=False)
    if all(slope is None for slope in found):
        raise LayerError(
            f"The output does not depend on the {cut.side} of the layer "
            f"{layer_name(cut.layer, affine_map.forward_func)} through any differentiable "
            "path: it is not used, detached, or turned into integers. Choose a layer on the "
            "way to the output."
        )
