"""Values made where no op call is seen, such as by a custom ``autograd.Function``.

Autograd knows their slope J at the operating point. Such a value is replaced, where it is
used, by its tangent y = y0 + J (z − z0), J held. What z was is known because the function's
own forward uses it: ops called with gradients off see active arguments that leave no trace
in the graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from captum_ilin.errors import NotExactError
from captum_ilin.tangent import LocalGraph, attached

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch.autograd.graph import Node

__all__ = ["ForeignGraph", "ForeignValues"]


class ForeignGraph(LocalGraph):
    """The part of the graph between a foreign value and the values it was made from."""

    def __init__(
        self, value: Tensor, sources: list[GradientEdge], points: list[Tensor]
    ) -> None:
        self.result, self.outputs, self.leaves = value, [value], sources
        self.points = points

    def _renew(self) -> None:
        """A value of which only the graph is known cannot be computed again."""

    def constants(self) -> list[Tensor]:
        """c = y0 − J z0."""
        (moved,) = self.jvp([point.detach() for point in self.points])
        value = self.result.detach()
        return [value if moved is None else value - moved]

    def _forward_jvp(self, steps: Sequence[Tensor | None]) -> list[Tensor | None]:
        name = self.result.grad_fn.name() if self.result.grad_fn else "A custom function"
        raise NotExactError(
            f"The intercept of {name} cannot be read, because its backward cannot be "
            "differentiated. Write its backward in torch ops, or give the function a rule."
        )


class ForeignValues:
    """The foreign values of one run, and the tangents that stand for them."""

    def __init__(self) -> None:
        self._used: dict[tuple[Node, int], Tensor] = {}
        self.tangents: dict[int, tuple[Tensor, int, Tensor]] = {}

    def note_used(self, values: Iterable[Tensor]) -> None:
        """Remember active values that were used while gradients were off."""
        for value in values:
            edge = get_gradient_edge(value)
            self._used[edge.node, edge.output_nr] = value

    def freeze(self, value: Tensor, sources: list[GradientEdge]) -> tuple[Tensor, ForeignGraph]:
        """The tangent that stands for ``value`` from now on."""
        points = [self._used.get((edge.node, edge.output_nr)) for edge in sources]
        known = [point for point in points if point is not None]
        if len(known) < len(points) or not known:
            name = value.grad_fn.name() if value.grad_fn else "a custom function"
            raise NotExactError(
                f"What went into {name} is not known, because no torch op was seen to use it: "
                "a scripted function or traced module, or a function in C++. It cannot be "
                "frozen. Call the Python code it was made from, or write it in torch ops."
            )
        graph = ForeignGraph(value, sources, known)
        with torch.enable_grad():
            (tangent,) = attached(graph, known)
        self.tangents[id(value)] = value, value._version, tangent
        return tangent, graph

    def stand_in(self, value: Tensor) -> Tensor:
        """The tangent that stands for ``value``, or ``value`` itself."""
        known, version, tangent = self.tangents.get(id(value), (None, 0, value))
        return tangent if known is value and version == value._version else value
