"""The narrow waist of a network: fewer features than outputs, which all paths pass.

Where F = head(features(x)) and the features are fewer than the outputs, W is the head's W
times the features', and the long way from the features to the inputs is gone only once for
each feature: 384 times for a vision transformer with 1000 classes, 576 times for a language
model with 49152 words.

A waist is an edge of the graph that cuts the inputs off from the outputs. Of all, the one
that makes the least work is taken, where the work of a pass is estimated by how many numbers
it hands from op to op.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from captum_ilin.casting import NO_AUTOCAST
from captum_ilin.examples import splits
from captum_ilin.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch.autograd.graph import Node

__all__ = ["Waist", "waist_of"]

_WORTH_IT = 3 / 4  # of the work: the product of head and features is not estimated


class Waist(NamedTuple):
    """W = head · features, at a cut of the graph.

    Attributes:
        head: from the cut to the outputs. Of the numbers at the cut only those in
            ``features.columns`` matter to them.
        features: from the inputs to the cut.
    """

    head: Segment
    features: Segment


class _Cut(NamedTuple):
    edge: GradientEdge
    above: int  # numbers handed on between the outputs and the edge


def waist_of(outputs: Tensor, leaves: tuple[Tensor, ...]) -> Waist | None:
    """The waist that makes all rows of W the cheapest; None where there is none.

    Half precision has none: sums over the features would be rounded again and again. Nor has a
    batch whose examples depend on one another: there a row is no example's own.
    """
    if not _has_examples_of_its_own(outputs, leaves):
        return None
    cuts, whole = _cuts(outputs)
    count = outputs[0].numel()
    cuts = [cut for cut in cuts if _fits(cut, outputs) and cut.above < _WORTH_IT * whole]
    if not cuts:
        return None
    used = _used_columns(outputs, [cut.edge for cut in cuts])
    work = [
        len(columns) * (whole - cut.above) + count * cut.above
        for cut, columns in zip(cuts, used, strict=True)
    ]
    best = min(range(len(cuts)), key=work.__getitem__)
    if work[best] > _WORTH_IT * count * whole or not len(used[best]):
        return None
    if not _examples_are_apart(outputs, leaves):
        return None
    return _waist(outputs, leaves, cuts[best].edge, used[best])


def _waist(
    outputs: Tensor, leaves: tuple[Tensor, ...], edge: GradientEdge, columns: Tensor
) -> Waist:
    like = outputs.new_empty(()).expand(_shape(edge))
    return Waist(
        Segment(outputs, outputs.detach(), (edge,), (like,)),
        Segment(edge, like, leaves, tuple(map(Tensor.detach, leaves)), columns),
    )


def _has_examples_of_its_own(outputs: Tensor, leaves: tuple[Tensor, ...]) -> bool:
    return (
        outputs.requires_grad
        and outputs.dtype in (torch.float32, torch.float64)
        and all(leaf.dim() > 0 and len(leaf) == len(outputs) for leaf in leaves)
    )


def _cuts(outputs: Tensor) -> tuple[list[_Cut], int]:
    """Edges that all paths pass, from the outputs down, and the numbers handed on in all.

    Nodes are taken once all their consumers are. What has been taken is then joined to the
    rest by the open edges; a single one is a cut.
    """
    root = outputs.grad_fn
    assert root is not None
    consumers = _consumers(root)
    open_edges = {(root, outputs.output_nr)}
    ready, cuts, above = [root], [], 0
    while ready:
        node = ready.pop()
        open_edges = {edge for edge in open_edges if edge[0] is not node}
        above += sum(_numel(shape.shape) for shape in node._input_metadata)
        for below, number in _edges(node):
            open_edges.add((below, number))
            consumers[below] -= 1
            if consumers[below] == 0 and below.next_functions:
                ready.append(below)
        if len(open_edges) == 1:
            ((cut, number),) = open_edges
            if cut.next_functions:
                cuts.append(_Cut(GradientEdge(cut, number), above))
    return cuts, above


def _consumers(root: Node) -> dict[Node, int]:
    """How many edges lead to each node below ``root``."""
    counts: dict[Node, int] = {root: 0}
    waiting = [root]
    while waiting:
        for below, _ in _edges(waiting.pop()):
            if below not in counts:
                waiting.append(below)
            counts[below] = counts.get(below, 0) + 1
    return counts


def _edges(node: Node) -> Iterator[tuple[Node, int]]:
    return ((below, number) for below, number in node.next_functions if below is not None)


def _fits(cut: _Cut, outputs: Tensor) -> bool:
    """Whether the edge carries examples in front, and few numbers of the outputs' kind."""
    shape = _shape(cut.edge)
    return (
        len(shape) > 0
        and shape[0] == len(outputs)
        and _numel(shape) < outputs.numel()
        and _metadata(cut.edge).dtype == outputs.dtype
    )


def _metadata(edge: GradientEdge) -> Any:
    return edge.node._input_metadata[edge.output_nr]


def _shape(edge: GradientEdge) -> torch.Size:
    return torch.Size(_metadata(edge).shape)


def _numel(shape: torch.Size) -> int:
    return torch.Size(shape).numel()


def _used_columns(outputs: Tensor, edges: list[GradientEdge]) -> list[Tensor]:
    """Which numbers at each edge an output depends on: those where a random row is not 0."""
    rows = _pulled(outputs, edges, _random_vector(outputs))
    return [
        torch.arange(0, device=outputs.device)
        if row is None
        else row.reshape(len(row), -1).count_nonzero(0).nonzero()[:, 0]
        for row in rows
    ]


def _examples_are_apart(outputs: Tensor, leaves: tuple[Tensor, ...]) -> bool:
    """Whether no example's outputs depend on another example."""
    vector = _random_vector(outputs).flatten(1)
    for silent in splits(len(outputs)):
        silent = silent.to(outputs.device)
        masked = vector.masked_fill(silent[:, None], 0).reshape(outputs.shape)
        rows = _pulled(outputs, leaves, masked)
        if any(row is not None and bool(row[silent].any()) for row in rows):
            return False
    return True


def _pulled(
    outputs: Tensor, sources: Sequence[Tensor] | Sequence[GradientEdge], vector: Tensor
) -> tuple[Tensor | None, ...]:
    with NO_AUTOCAST.restored():
        return torch.autograd.grad(
            outputs, sources, vector, retain_graph=True, allow_unused=True
        )


def _random_vector(outputs: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    vector = torch.rand(outputs.shape, generator=generator, dtype=outputs.dtype) + 1
    return vector.to(outputs.device)
