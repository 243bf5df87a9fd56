"""Slow references: the dense slope D and intercept c of an op, from its definition.

A reference is given the plain op and its arguments, and works on one flat vector of all active
values and one of all outputs. It shares no code with the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

Map = tuple[Tensor, Tensor]
STEP = 2.0**-10  # stays inside the pieces of the cases, and divides without rounding


class Flat:
    """An op as a function from its active values to its floating-point outputs, both flat."""

    def __init__(self, op: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> None:
        self.op, self.args, self.kwargs = op, args, kwargs
        self.active = [t for t in _tensors((args, kwargs)) if t.requires_grad]
        self.point = torch.cat([t.detach().reshape(-1) for t in self.active])

    def __call__(self, values: Tensor) -> Tensor:
        parts = iter(values.split([t.numel() for t in self.active]))

        def rebuilt(value: Any) -> Any:
            if isinstance(value, Tensor):
                if value.requires_grad:
                    return next(parts).reshape(value.shape).clone()
                return value.clone()
            if isinstance(value, (list, tuple)):
                return type(value)(rebuilt(item) for item in value)
            if isinstance(value, dict):
                return {key: rebuilt(item) for key, item in value.items()}
            return value

        result = self.op(*rebuilt(self.args), **rebuilt(self.kwargs))
        parts = [_pairs(t) for t in _tensors(result)]
        return torch.cat([t.reshape(-1) for t in parts if t.is_floating_point()])


def _pairs(t: Tensor) -> Tensor:
    return torch.stack([t.real, t.imag], -1) if t.is_complex() else t


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


def affine(flat: Flat) -> Map:
    """An affine op: c is its value at zero, the columns of D its values at the basis less c."""
    c = flat(torch.zeros_like(flat.point))
    columns = [flat(basis) - c for basis in torch.eye(len(flat.point), dtype=c.dtype)]
    return torch.stack(columns, 1), c


def piece(flat: Flat) -> Map:
    """A piecewise affine op: difference quotients inside the piece; c = y0 − D z0."""
    y = flat(flat.point)
    columns = [
        (flat(flat.point + STEP * basis) - y) / STEP
        for basis in torch.eye(len(flat.point), dtype=y.dtype)
    ]
    slope = torch.stack(columns, 1)
    return slope, y - slope @ flat.point


def tangent(flat: Flat) -> Map:
    """The plain op's Jacobian J at the operating point; c = y0 − J z0."""
    slope = torch.autograd.functional.jacobian(flat, flat.point)
    return slope, flat(flat.point) - slope @ flat.point


def constant(flat: Flat) -> Map:
    """No slope: everything is intercept."""
    y = flat(flat.point)
    return y.new_zeros(len(y), len(flat.point)), y


def even_split(flat: Flat) -> Map:
    """A product of n active factors: 1/n of each factor's own slope, the others held."""
    shares = []
    sizes = [t.numel() for t in flat.active]
    for number, size in enumerate(sizes):
        start = sum(sizes[:number])
        for position in range(start, start + size):
            probe = flat.point.clone()
            probe[start : start + size] = 0
            probe[position] = 1
            shares.append(flat(probe) / len(sizes))
    slope = torch.stack(shares, 1)
    return slope, torch.zeros(len(slope), dtype=slope.dtype)


def secant(phi: Callable[[float], float], at_zero: float) -> Callable[[Flat], Map]:
    """φ(z)/z on the diagonal, φ'(0) where z is 0; φ from Python's own math."""

    def reference(flat: Flat) -> Map:
        slopes = [phi(z) / z if z != 0 else at_zero for z in flat.point.tolist()]
        slope = torch.diag(torch.tensor(slopes, dtype=flat.point.dtype))
        return slope, torch.zeros(len(slopes), dtype=slope.dtype)

    return reference


def held(first_only: Callable[..., Tensor]) -> Callable[[Flat], Map]:
    """An affine function of the first active tensor alone; the others have slope zero.

    ``first_only(free, *active)`` is the op with everything but ``free`` held at ``active``.
    """

    def reference(flat: Flat) -> Map:
        actives = [t.detach() for t in flat.active]
        size, shape = actives[0].numel(), actives[0].shape

        def at(values: Tensor) -> Tensor:
            return first_only(values.reshape(shape), *actives).reshape(-1)

        c = at(torch.zeros(size, dtype=flat.point.dtype))
        columns = [at(basis) - c for basis in torch.eye(size, dtype=c.dtype)]
        rest = len(flat.point) - size
        return torch.cat([torch.stack(columns, 1), c.new_zeros(len(c), rest)], 1), c

    return reference


def straight_through(flat: Flat) -> Map:
    """Rounding with slope 1 inside its range, as quantisation-aware training takes it."""
    slope = torch.eye(len(flat.point), dtype=flat.point.dtype)
    return slope, flat(flat.point) - slope @ flat.point
