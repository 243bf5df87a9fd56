"""A network's map from its definition: the same network with what is held written down by hand.

A definition computes with pairs: a value that is free, and the same value at the operating
point. Gates, patterns and statistics are computed from the point alone, so what comes out is
affine in what is free; its matrix is read off at basis vectors. No code of the package runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin import DEFAULT_RULES, TANGENT_RULES, check_affine_map, linearize

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin import RuleTable

__all__ = ["Pair", "assert_defined", "assert_jacobian", "joined"]

TOLERANCE = 1e-12  # of W and b, relative to the largest entry: some thousand roundings


@dataclass(frozen=True)
class Pair:
    """A value that is free, and the same value at the operating point."""

    free: Tensor
    point: Tensor

    def map(self, affine: Callable[[Tensor], Tensor]) -> Pair:
        """An affine function of both; what it holds it closes over."""
        return Pair(affine(self.free), affine(self.point))

    def chord(self, phi: Callable[[Tensor], Tensor]) -> Pair:
        """[φ(z0)/z0] · z, for z0 that are not 0."""
        return self.map(lambda z: z * (phi(self.point) / self.point))

    def tangent(self, phi: Callable[[Tensor], Tensor], slope: Tensor) -> Pair:
        """φ(z0) + φ'(z0) · (z − z0), pointwise."""
        return self.map(lambda z: phi(self.point) + slope * (z - self.point))

    def centred(self, scale: Callable[[Tensor], Tensor], *, mean: bool = True) -> Pair:
        """Over the last axis: centred, and divided by a scale at the operating point."""
        shifted = self.map(lambda z: z - z.mean(-1, keepdim=True)) if mean else self
        return shifted.map(lambda z: z / scale(shifted.point))

    def __add__(self, other: Pair) -> Pair:
        return Pair(self.free + other.free, self.point + other.point)

    def split(self, other: Pair, product: Callable[[Tensor, Tensor], Tensor]) -> Pair:
        """½·a·b0 + ½·a0·b."""
        free = product(self.free, other.point) + product(self.point, other.free)
        return Pair(free / 2, product(self.point, other.point))


def joined(function: Callable[..., Tensor], *pairs: Pair) -> Pair:
    """A function that is affine in several pairs together."""
    return Pair(function(*(p.free for p in pairs)), function(*(p.point for p in pairs)))


def assert_defined(
    forward: Callable[..., Tensor],
    definition: Callable[..., Pair],
    *inputs: Tensor,
    constants: tuple[Any, ...] = (),
    rules: RuleTable = DEFAULT_RULES,
) -> None:
    """W and b are those of ``definition``, the Jacobian under TANGENT_RULES; every law holds.

    ``forward`` is given the inputs and the constants, ``definition`` their pairs instead.
    """
    affine_map = linearize(
        forward, inputs, additional_forward_args=constants, rules=rules, strict=True
    )
    check_affine_map(affine_map)

    def free(*values: Tensor) -> Tensor:
        return definition(*map(Pair, values, inputs), *constants).free

    slope, intercept = _matrix(free, inputs)
    _assert_close(free(*inputs), forward(*inputs, *constants).detach(), "the value")
    _assert_close(_flat_weight(affine_map), slope, "W")
    _assert_close(affine_map.bias().reshape(-1), intercept, "b")
    assert_jacobian(forward, *inputs, constants=constants)


def assert_jacobian(
    forward: Callable[..., Tensor], *inputs: Tensor, constants: tuple[Any, ...] = ()
) -> None:
    """TANGENT_RULES give the true Jacobian, and a map that obeys every law."""
    affine_map = linearize(
        forward, inputs, additional_forward_args=constants, rules=TANGENT_RULES, strict=True
    )
    check_affine_map(affine_map)
    parts = torch.autograd.functional.jacobian(lambda *x: forward(*x, *constants), inputs)
    rows = affine_map.outputs.numel()
    jacobian = torch.cat([part.reshape(rows, -1) for part in parts], 1)
    _assert_close(_flat_weight(affine_map), jacobian, "the Jacobian")


def _matrix(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """D and c of an affine function of ``inputs``, all flat."""
    sizes = [value.numel() for value in inputs]

    def at(flat: Tensor) -> Tensor:
        parts = flat.split(sizes)
        shaped = [part.reshape(v.shape) for part, v in zip(parts, inputs, strict=True)]
        return function(*shaped).detach().reshape(-1)

    c = at(torch.zeros(sum(sizes), dtype=inputs[0].dtype))
    columns = [at(basis) - c for basis in torch.eye(sum(sizes), dtype=c.dtype)]
    return torch.stack(columns, 1), c


def _flat_weight(affine_map: Any) -> Tensor:
    """W of all rows at once: rows of the batch do not touch each other."""
    rows, outputs = affine_map.outputs.shape[0], affine_map.outputs[0].numel()
    blocks = [weight.reshape(rows, outputs, -1) for weight in affine_map.weight()]
    return torch.cat([torch.block_diag(*block) for block in blocks], 1)


def _assert_close(got: Tensor, wanted: Tensor, name: str) -> None:
    got, wanted = got.detach(), wanted.detach()
    error = float((got - wanted).abs().max()) / max(1.0, float(wanted.abs().max()))
    assert error <= TOLERANCE, f"{name} differs from its definition by {error:.1e}"
