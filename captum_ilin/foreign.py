"""Values made where no op call is seen, such as by a custom ``autograd.Function``.

Autograd knows their slope J at the operating point. Such a value is replaced, where it is
used, by its tangent y = y0 + J (z − z0), J held. What z was is known because the function's
own forward uses it: ops called with gradients off see active arguments that leave no trace
in the graph.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.modules._functions import BackwardHookFunction

from captum_ilin.activity import copied
from captum_ilin.errors import NotExactError, RefusedOpError, refused
from captum_ilin.localgraph import LocalGraph, attached
from captum_ilin.memory import memory_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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

    @contextmanager
    def cut_at_leaves(self) -> Iterator[None]:
        """f(z, g(z)) has a slope in z itself; what reaches z through g is counted with g."""
        cuts = self.leaves if len(self.leaves) > 1 else []
        handles = [
            edge.node.register_prehook(partial(_with_zeros, edge.output_nr)) for edge in cuts
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def jvp(self, steps: Sequence[Tensor | None]) -> list[Tensor | None]:
        """J t, if <u, J t> = <Jᵀu, t>: a backward that detaches has no such product."""
        moves, ones = super().jvp(steps), torch.ones_like(self.result)
        (move,), pulled = moves, self.vjp([ones])
        pairs = zip(pulled, steps, strict=True)
        along = [pull * t for pull, t in pairs if pull is not None and t is not None]
        pushed = torch.zeros_like(ones) if move is None else move
        error = pushed.sum() - sum(term.sum() for term in along)
        size = pushed.abs().sum() + sum(term.abs().sum() for term in along)
        if error.abs() > 1e3 * torch.finfo(ones.dtype).eps * size:
            return self._forward_jvp(steps)
        return moves

    def constants(self) -> list[Tensor]:
        """c = y0 − J z0."""
        (moved,) = self.jvp([point.detach() for point in self.points])
        value = self.result.detach()
        return [value if moved is None else value - moved]

    def _forward_jvp(self, steps: Sequence[Tensor | None]) -> list[Tensor | None]:
        raise NotExactError(
            f"The intercept of {_name(self.result)} cannot be read, because its backward "
            "cannot be differentiated (once_differentiable, or written outside torch). The "
            "weight can. For the bias, write its backward in torch ops."
        )


def _with_zeros(number: int, gradients: tuple[Tensor | None, ...]) -> tuple[Any, ...]:
    """What flows into a node, without what flows into its output of this number."""
    return tuple(
        gradient if i != number or gradient is None else torch.zeros_like(gradient)
        for i, gradient in enumerate(gradients)
    )


_BACKWARD_HOOKS: type = BackwardHookFunction._backward_cls


class ForeignValues:
    """The foreign values of one run, and the tangents that stand for them."""

    def __init__(self) -> None:
        self._used: dict[tuple[Node, int], Tensor] = {}
        self._kept: set[tuple[Node, int]] = set()  # as they were before a write
        self._recomputed: set[tuple[Node, int]] = set()
        self.is_recomputed = False
        self.tangents: dict[int, tuple[Tensor, int, Tensor]] = {}

    def note_used(self, values: Iterable[Tensor]) -> None:
        """Remember active values, or what stands for them, used while gradients were off."""
        for value in values:
            edge = get_gradient_edge(value)
            if (edge.node, edge.output_nr) not in self._kept:
                self._used[edge.node, edge.output_nr] = self.stand_in(value)
            if self.is_recomputed:
                self._recomputed.add((edge.node, edge.output_nr))

    def keep_from(self, target: Tensor) -> None:
        """Copy used values that lie in the memory of ``target``, which is about to change.

        A custom function may overwrite its own argument where autograd does not look.
        """
        memory = memory_of(target)
        for edge, value in self._used.items():
            if memory is not None and memory_of(value) == memory:
                with torch.enable_grad():
                    self._used[edge] = copied(value)
                self._kept.add(edge)

    def passes_by(self, value: Tensor) -> bool:
        """Whether ``value`` only went through a module's backward hooks; they are left out.

        A hook may replace gradients, and is not to be called for derivatives of the map.
        """
        node = value.grad_fn
        if node is None or not isinstance(node, _BACKWARD_HOOKS):
            return False
        edge: Any = node.next_functions[value.output_nr]
        before = self._used.get(edge)
        if before is not None:
            self.tangents[id(value)] = value, value._version, before
        return before is not None

    def freeze(self, value: Tensor, sources: list[GradientEdge]) -> tuple[Tensor, ForeignGraph]:
        """The tangent that stands for ``value`` from now on."""
        self._check_checkpoints(value, sources)
        points = [self._used.get((edge.node, edge.output_nr)) for edge in sources]
        known = [point for point in points if point is not None]
        if any(point is value for point in known):
            raise NotExactError(
                f"{_name(value)} writes into its own argument (mark_dirty), so what went into "
                "it is not known any more. Return a new tensor instead."
            )
        if len(known) < len(points) or not known:
            raise NotExactError(
                f"What went into {_name(value)} is not known, because no torch op was seen to "
                "use it: a scripted function or traced module, a function in C++, a transform "
                "of torch.func, a write such as `z.real = part`, or work done in another "
                "thread. It cannot be frozen. Call the Python code it was made from, in the "
                "same thread, or write it in torch ops (`z.real.copy_(part)`)."
            )
        graph = ForeignGraph(value, sources, known)
        with torch.enable_grad():
            (tangent,) = attached(graph, known)
        self.tangents[id(value)] = value, value._version, tangent
        return tangent, graph

    def _check_checkpoints(self, value: Tensor, sources: list[GradientEdge]) -> None:
        """A checkpoint would compute what a custom function saved again, unfrozen."""
        if type(value.grad_fn).__name__ == "CheckpointFunctionBackward":
            raise RefusedOpError(
                refused(
                    "a checkpoint of torch.utils.checkpoint with use_reentrant=True", _HIDES
                )
            )
        if any((edge.node, edge.output_nr) in self._recomputed for edge in sources):
            raise RefusedOpError(refused(f"{_name(value)} in a checkpoint", _RECOMPUTES))

    def stand_in(self, value: Tensor) -> Tensor:
        """The tangent that stands for ``value``, or ``value`` itself."""
        known, version, tangent = self.tangents.get(id(value), (None, 0, value))
        return tangent if known is value and version == value._version else value


_HIDES = (
    "it runs its part without a graph and builds one only in backward(); pass "
    "use_reentrant=False, or turn checkpointing off"
)
_RECOMPUTES = (
    "a checkpoint computes what a custom function saved again in the backward pass, from a "
    "run that is not frozen; turn checkpointing off"
)


def _name(value: Tensor) -> str:
    return "a custom function" if value.grad_fn is None else value.grad_fn.name()
