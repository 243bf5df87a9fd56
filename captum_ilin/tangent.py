"""The tangent of any op at its operating point: y = y0 + J (z − z0), J held.

Running the op under plain autograd gives the same weight, but a weight that still depends on
the input: a second derivative would see it. Here the op's own graph is built on detached
copies, so the map is affine for good, in the backward pass and in the backward of that.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.activity import copied, is_active
from captum_ilin.arguments import substituted, tensors
from captum_ilin.holding import hold, is_replaying, is_taped
from captum_ilin.localgraph import LocalGraph, attached

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


__all__ = [
    *(
        "active_positions",
        "bound",
        "linearized",
        "out_of_place",
        "piecewise",
        "tangent",
        "written_tangent",
    ),
]


def tangent(op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """First-order Taylor expansion of ``op`` in its active arguments, intercept included.

    Args:
        op: any differentiable torch function, out of place.
        args, kwargs: its arguments; which are active is known inside a frozen run.

    Returns:
        The op's value; its derivative is J at the operating point, held.

    Cost: the op's forward, and its own backward.

    >>> import torch
    >>> from captum_ilin import DEFAULT_RULES, linearize
    >>> rules = DEFAULT_RULES | {torch.tanh: lambda z: tangent(torch.tanh, z)}
    >>> affine_map = linearize(lambda x: 1 + torch.tanh(x), torch.zeros(1, 1), rules=rules)
    >>> affine_map.weight(), affine_map.bias()
    (tensor([[1.]]), tensor([1.]))
    """
    active = hold(lambda: active_positions(args, kwargs))
    return linearized(op, args, kwargs, active)


def piecewise(op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The active piece of an op that is piecewise affine, such as ``clamp``.

    Its own derivative does not depend on the input within the piece, so it runs as it is;
    only a tape needs the piece spelled out.
    """
    return tangent(op, *args, **kwargs) if is_taped() else op(*args, **kwargs)


def written_tangent(op: Callable[..., Any], input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """``tangent`` of an op that writes its result into its first argument."""
    return input.copy_(tangent(partial(out_of_place, op), copied(input), *args, **kwargs))


def out_of_place(
    op_: Callable[..., Tensor], input: Tensor, *args: Any, **kwargs: Any
) -> Tensor:
    """What an op that writes leaves in the place of ``input``, without the write."""
    result = input.clone()
    op_(result, *args, **kwargs)
    return result


def linearized(
    op: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    positions: list[int],
    share: float = 1.0,
) -> Any:
    """``tangent`` in the tensors at ``positions``, its slope multiplied by ``share``.

    With a share of 1/n the op must be linear in each of n factors; the result is then the
    even split of their product.
    """
    flat = tensors((args, kwargs))
    variables = [flat[position] for position in positions]
    points = hold(lambda: [_kept(variable) for variable in variables])
    graph = LocalGraph(bound(op, args, kwargs, positions), points)
    if is_replaying():
        return graph.moved(list(map(_step, variables, points)), share)
    if not any(output.requires_grad for output in graph.outputs):
        return graph.result
    return graph.with_outputs(attached(graph, variables, share))


def _kept(variable: Tensor) -> Tensor:
    """z0; a tape keeps a copy, because the model may write to z later."""
    return variable.detach().clone() if is_taped() else variable.detach()


def _step(variable: Tensor, point: Tensor) -> Tensor:
    """z − z0; where z0 is infinite (masked scores) the slope is 0 and no step is taken."""
    return (variable - point).masked_fill(~torch.isfinite(point), 0.0)


def active_positions(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:
    """The places of the active tensors among all, in the order of `tensors`."""
    return [i for i, value in enumerate(tensors((args, kwargs))) if is_active(value)]


def bound(
    op: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    positions: list[int],
) -> Callable[[Sequence[Tensor]], Any]:
    """``op`` as a function of the tensors at ``positions`` alone."""

    def call(values: Sequence[Tensor]) -> Any:
        full_args, full_kwargs = substituted((args, kwargs), positions, values)
        return op(*full_args, **full_kwargs)

    return call
