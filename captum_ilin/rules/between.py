"""What rules between two points are made of: Δy = D Δz, exactly, with D held.

midway      a polynomial of degree two in all active arguments: D is its slope midway.
along       one of degree n: D is its slope, averaged along the line between the points.
stepped     a D given as the move that a step makes.
matrixed    a D of one argument given by its two products.

Each returns the op's own value at z. As an affine map it is y = D z + c with
c = φ(z) − D z = φ(z') − D z'.

Functions of each element have `captum_ilin.rules.rescale`. Source: Aumann and Shapley 1974,
Values of Non-Atomic Games, whose value of a product of n factors is the one that Shapley gave.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from captum_ilin.activity import is_active
from captum_ilin.arguments import mapped, substituted, tensors
from captum_ilin.counterpart import counterpart, counterpart_input
from captum_ilin.holding import hold, is_replaying, is_taped
from captum_ilin.localgraph import LocalGraph, attached
from captum_ilin.slope import Slope, sloped
from captum_ilin.tangent import active_positions, bound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["along", "matrixed", "midway", "stepped", "written"]


def midway(op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A polynomial of degree two: its value at z, its slope midway between the points.

    Δ(u·v) = ½(v + v')·Δu + ½(u + u')·Δv, and so for every sum of such products.
    """
    return along(op, *args, degree=2, **kwargs)


def along(op: Callable[..., Any], *args: Any, degree: int, **kwargs: Any) -> Any:
    """A polynomial of degree n: its value at z, its slope averaged along the line from z' to z.

    Δy = ∫₀¹ J(z' + tΔz) dt Δz. The integrand has degree n − 1 in t, for which ⌈n/2⌉ nodes of
    Gauss and Legendre are exact. For a product of n factors D is Shapley's.

    Args:
        op: any torch function that is such a polynomial in its active arguments together.
        args, kwargs: its arguments.
        degree: n, at least 1.

    Cost: the op at ⌈n/2⌉ points, and its graph there.
    """
    shares, weights = _nodes(max(1, (degree + 1) // 2))
    positions = hold(lambda: active_positions(args, kwargs))
    found = hold(lambda: _first_and_offsets(args, kwargs, positions, shares))
    first, offsets = found[: len(positions)], found[len(positions) :]
    call = _alone(op, args, kwargs, positions)

    def mean(values: Sequence[Tensor]) -> Any:
        results = [call(values)]
        for number in range(len(shares) - 1):
            own = offsets[number * len(values) : (number + 1) * len(values)]
            results.append(call([v + o for v, o in zip(values, own, strict=True)]))
        return _weighted(results, weights)

    return _between(op, args, kwargs, positions, LocalGraph(mean, first))


@cache
def _nodes(count: int) -> tuple[list[float], list[float]]:
    """Nodes and weights of Gauss and Legendre on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return ((nodes + 1) / 2).tolist(), (weights / 2).tolist()


def _first_and_offsets(
    args: tuple[Any, ...], kwargs: dict[str, Any], positions: list[int], shares: list[float]
) -> list[Tensor]:
    """The point at the first share of the line, and from there the way to the others."""
    here, there = _two_points(args, kwargs, positions)
    found = [torch.lerp(old, new, shares[0]) for old, new in zip(there, here, strict=True)]
    for share in shares[1:]:
        found += [
            (share - shares[0]) * (new - old) for old, new in zip(there, here, strict=True)
        ]
    return found


def _weighted(results: list[Any], weights: list[float]) -> Any:
    if len(results) == 1:
        return results[0]
    parts = zip(*map(tensors, results), strict=True)

    def mean(first: Tensor) -> Tensor:
        values = next(parts)
        if not first.is_floating_point() and not first.is_complex():
            return first
        return torch.stack([w * v for w, v in zip(weights, values, strict=True)]).sum(0)

    return mapped(results[0], mean)


def stepped(
    op: Callable[..., Tensor], move: Callable[..., Tensor], *args: Any, **kwargs: Any
) -> Tensor:
    """The op's value at z, with the D that ``move`` gives as a function of a step.

    Args:
        op: the op.
        move: D t, linear in t and built of differentiable ops: called with t, which has a step
            for each argument of ``args`` (0 for a constant), and with two `Counterpart` like
            pairs, the arguments and the value at z, and those at z'.
        args: the op's arguments; only among these may be active ones.
        kwargs: options of the op.
    """
    positions = hold(lambda: active_positions(args, {}))
    found = hold(lambda: _both_ends(op, args, kwargs, positions))
    count = len(positions)
    here, there, values = found[:count], found[count : 2 * count], found[2 * count :]

    def moved(steps: Sequence[Tensor]) -> Tensor:
        still = mapped(args, torch.zeros_like)
        at = [
            (substituted(args, positions, end), y)
            for end, y in zip((here, there), values, strict=True)
        ]
        return move(substituted(still, positions, steps), *at)

    return _between(op, args, kwargs, positions, LocalGraph(moved, here))


def _both_ends(
    op: Callable[..., Tensor],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    positions: list[int],
) -> list[Tensor]:
    """The active arguments at z and at z', and the values there."""
    ends = _two_points(args, {}, positions)
    call = _alone(op, args, kwargs, positions)
    return [*ends[0], *ends[1], *(call(end) for end in ends)]


def _between(
    op: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    positions: list[int],
    graph: LocalGraph,
) -> Any:
    """The op's value at z, with the slope of ``graph``, which lies elsewhere."""
    flat = tensors((args, kwargs))
    variables = [flat[position] for position in positions]
    points = hold(lambda: [variable.detach().clone() for variable in variables])
    values = hold(lambda: _values(op, args, kwargs))
    if is_replaying():
        steps = [v - point for v, point in zip(variables, points, strict=True)]
        moves = graph.jvp(steps)
        return graph.with_outputs(
            [
                value if move is None else value + move
                for value, move in zip(values, moves, strict=True)
            ]
        )
    return graph.with_outputs(attached(graph, variables, values=values))


def _two_points(
    args: tuple[Any, ...], kwargs: dict[str, Any], positions: list[int]
) -> tuple[list[Tensor], list[Tensor]]:
    """The active arguments at z, copied, and at z'."""
    here, there = tensors((args, kwargs)), tensors(tuple(counterpart()))
    return [here[p].detach().clone() for p in positions], [there[p] for p in positions]


def _alone(
    op: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], positions: list[int]
) -> Callable[[Sequence[Tensor]], Any]:
    """``op`` as a function of the active arguments alone, without the graphs of the others."""
    still_args, still_kwargs = mapped((args, kwargs), Tensor.detach)
    return bound(op, still_args, still_kwargs, positions)


def _values(
    op: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Tensor]:
    full_args, full_kwargs = mapped((args, kwargs), Tensor.detach)
    with torch.no_grad():
        return tensors(op(*full_args, **full_kwargs))


def written(
    plain: Callable[..., Tensor],
    between: Callable[..., Tensor],
    input: Tensor,
    *args: Any,
    **kwargs: Any,
) -> Tensor:
    """The in-place form: what is between two points keeps nothing of an active input."""
    source = input if is_active(input) else input.clone()
    return input.copy_(between(plain, source, *args, **kwargs))


def matrixed(
    input: Tensor, compute: Callable[[Tensor, Tensor], tuple[Tensor, Slope]]
) -> Tensor:
    """The value, with the slope D, that ``compute`` finds from z and z'."""
    if is_replaying():
        there, slope = hold(None)
        with torch.no_grad():
            constant = compute(there, there)[0] - slope.push(there, *slope.held)
        return slope.push(input, *slope.held) + constant
    there = counterpart_input()
    with torch.no_grad():
        value, slope = compute(input.detach(), there)
    if is_taped():
        hold((there, slope))
    return sloped(lambda _: (value, slope), input)
