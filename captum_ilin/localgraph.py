"""``LocalGraph``: the autograd graph of one op, with its products Jᵀu and J t.

Built on detached copies of the op's active arguments, so that the slope J is held: it enters
the graph of the whole network through ``attached``, whose own derivative needs no second one.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from captum_ilin.arguments import mapped, tensors
from captum_ilin.casting import NO_AUTOCAST, Autocast, autocast_now
from captum_ilin.errors import saying_what_has_no_derivative

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    _Recorded = tuple[list[Tensor], Sequence[Tensor | None]]

__all__ = ["LocalGraph", "attached"]


class LocalGraph:
    """The autograd graph of one op on detached copies of its active arguments."""

    autocast: Autocast = NO_AUTOCAST
    _recorded: _Recorded | None = None

    def __init__(self, call: Callable[[Sequence[Tensor]], Any], points: list[Tensor]) -> None:
        self.autocast = autocast_now()
        with torch.enable_grad():
            variables = [point.detach().requires_grad_() for point in points]
            self.result = call(variables)
        self.call = call
        self.points = points
        self.leaves: Any = variables  # tensors, or edges of a graph
        self.outputs = tensors(self.result)
        self._versions = [output._version for output in self.outputs]
        self._recorded = None

    def _renew(self) -> None:
        """Build the graph again if the model has written to an output, which it may keep."""
        if self._versions != [output._version for output in self.outputs]:
            with self.autocast.restored():
                LocalGraph.__init__(self, self.call, self.points)

    def cut_at_leaves(self) -> AbstractContextManager[None]:
        """Derivatives stop at the leaves, also at one that another was made from."""
        return nullcontext()

    def vjp(self, vectors: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
        """Jᵀu."""
        self._renew()
        pairs = [
            (output, vector)
            for output, vector in zip(self.outputs, vectors, strict=True)
            if output.requires_grad and vector is not None
        ]
        if not pairs:
            return (None,) * len(self.leaves)
        outputs, used = zip(*pairs, strict=True)
        with saying_what_has_no_derivative(), self.cut_at_leaves():
            return torch.autograd.grad(
                outputs, self.leaves, used, retain_graph=True, allow_unused=True
            )

    def jvp(self, steps: Sequence[Tensor | None]) -> list[Tensor | None]:
        """J t for each output, None for one without slope."""
        self._renew()
        try:
            moves = self._jvp_of_vjp(steps)
        except RuntimeError:  # the op has no second derivative
            return self._forward_jvp(steps)
        if all(move is None or _is_finite(move) for move in moves):
            return moves
        return self._forward_jvp(steps)  # its second derivative is singular, as sinc's at 0

    def _jvp_of_vjp(self, steps: Sequence[Tensor | None]) -> list[Tensor | None]:
        """The derivative of Jᵀu with respect to u, the same at every u."""
        smooth = [output for output in self.outputs if output.requires_grad]
        if self._recorded is None:
            self._recorded = self._record(smooth)
        vectors, pulled = self._recorded
        pairs = [
            (pull, step)
            for pull, step in zip(pulled, steps, strict=True)
            if pull is not None and pull.requires_grad and step is not None
        ]
        if not pairs:
            return [None] * len(self.outputs)
        along, directions = zip(*pairs, strict=True)
        moves = iter(
            torch.autograd.grad(
                along, vectors, directions, retain_graph=True, allow_unused=True
            )
        )
        return [next(moves) if output.requires_grad else None for output in self.outputs]

    def _record(self, smooth: list[Tensor]) -> _Recorded:
        """u, and Jᵀu as a function of it: kept, for it serves every step."""
        with torch.enable_grad(), self.cut_at_leaves():
            vectors = [torch.ones_like(output).requires_grad_() for output in smooth]
            pulled = torch.autograd.grad(
                smooth,
                self.leaves,
                vectors,
                create_graph=True,
                retain_graph=True,
                allow_unused=True,
            )
        if any(map(_is_cut_off, pulled)):
            raise RuntimeError("the backward of a custom function is not differentiable")
        return vectors, pulled

    def _forward_jvp(self, steps: Sequence[Tensor | None]) -> list[Tensor | None]:
        """The same by forward-mode differentiation."""
        with forward_ad.dual_level(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's own decompositions
            duals = [
                point if step is None else forward_ad.make_dual(point, step)
                for point, step in zip(self.points, steps, strict=True)
            ]
            try:
                with self.autocast.restored():
                    outputs = tensors(self.call(duals))
            except NotImplementedError:  # the op has no forward-mode derivative either
                return self._jvp_by_rows(steps)
            moves = [forward_ad.unpack_dual(output).tangent for output in outputs]
        return [
            move.detach() if move is not None and output.requires_grad else None
            for output, move in zip(self.outputs, moves, strict=True)
        ]

    def _jvp_by_rows(self, steps: Sequence[Tensor | None]) -> list[Tensor | None]:
        """The same from one backward pass for each element of the outputs."""
        return [
            self._moves(output, steps) if output.requires_grad else None
            for output in self.outputs
        ]

    def _moves(self, output: Tensor, steps: Sequence[Tensor | None]) -> Tensor:
        moves = torch.zeros_like(output)
        for number, place in enumerate(moves.reshape(-1)):
            one = torch.zeros_like(moves).reshape(-1)
            one[number] = 1
            rows = torch.autograd.grad(
                output,
                self.leaves,
                one.reshape(moves.shape),
                retain_graph=True,
                allow_unused=True,
            )
            for row, step in zip(rows, steps, strict=True):
                if row is not None and step is not None:
                    place += (row * step).sum()
        return moves

    def with_outputs(self, outputs: Sequence[Tensor]) -> Any:
        """The op's result with its tensors replaced, in order."""
        replacements = iter(outputs)
        return mapped(self.result, lambda _: next(replacements))

    def moved(self, steps: Sequence[Tensor], share: float) -> Any:
        """y0 + share · J t."""
        return self.with_outputs(
            [
                output.detach() if move is None else output.detach() + share * move
                for output, move in zip(self.outputs, self.jvp(steps), strict=True)
            ]
        )


def _is_finite(move: Tensor) -> bool:
    """Whether all of it is finite, which a finite sum tells more cheaply."""
    return bool(torch.isfinite(move.sum())) or bool(torch.isfinite(move).all())


def _is_cut_off(pull: Tensor | None) -> bool:
    """Whether Jᵀu lost its dependence on u: detached, or marked as once_differentiable."""
    if pull is None:
        return False
    if pull.requires_grad:
        return pull.grad_fn is not None and pull.grad_fn.name() == "torch::autograd::Error"
    return bool(torch.count_nonzero(pull))


def attached(
    graph: LocalGraph,
    variables: Sequence[Tensor],
    share: float = 1.0,
    values: Sequence[Tensor] | None = None,
) -> tuple[Tensor, ...]:
    """The graph's outputs as functions of ``variables``: its values, its slope times share.

    Args:
        values: other values for the outputs, where the graph lies at another point.
    """
    found = graph.outputs if values is None else values
    return _Attach.apply(graph, share, [value.detach() for value in found], *variables)


class _Attach(torch.autograd.Function):
    """The values of a local graph, with its slope, in the graph of the whole network."""

    @staticmethod
    def forward(
        ctx: Any, graph: LocalGraph, share: float, values: list[Tensor], *variables: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.graph, ctx.share = graph, share
        ctx.set_materialize_grads(False)
        fixed = [v for v, o in zip(values, graph.outputs, strict=True) if not o.requires_grad]
        ctx.mark_non_differentiable(*fixed)
        return tuple(values)

    @staticmethod
    def backward(ctx: Any, *vectors: Tensor | None) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            return None, None, None, *_Pull.apply(ctx.graph, ctx.share, *vectors)
        # in ops that vmap takes
        return None, None, None, *_pulled(ctx.graph, ctx.share, vectors)


class _Pull(torch.autograd.Function):
    """share · Jᵀu; its own derivative is share · J t, so no second derivative is needed."""

    @staticmethod
    def forward(
        ctx: Any, graph: LocalGraph, share: float, *vectors: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        ctx.graph, ctx.share = graph, share
        ctx.is_given = [vector is not None for vector in vectors]
        ctx.set_materialize_grads(False)
        return _pulled(graph, share, vectors)

    @staticmethod
    def backward(ctx: Any, *steps: Tensor | None) -> tuple[Any, ...]:
        moves = [
            _times(move, ctx.share) if is_given else None
            for move, is_given in zip(ctx.graph.jvp(steps), ctx.is_given, strict=True)
        ]
        return None, None, *moves


def _pulled(
    graph: LocalGraph, share: float, vectors: Sequence[Tensor | None]
) -> tuple[Tensor | None, ...]:
    """share · Jᵀu."""
    return tuple(_times(pull, share) for pull in graph.vjp(vectors))


def _times(part: Tensor | None, share: float) -> Tensor | None:
    return part if part is None or share == 1.0 else part * share
