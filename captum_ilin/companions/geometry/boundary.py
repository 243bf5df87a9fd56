"""``LocalBoundary``: the nearest decision boundary of one example's map, and its reach.

Where the network is F(x) = W x + b, the class p that it predicts ends at the hyperplanes

    (w_p − w_j)·x + b_p − b_j = 0,   at the distances   (F_p − F_j) / ‖w_p − w_j‖,

and the nearest of them is the nearest boundary of the map, for p holds on a polytope. It is the
network's too while it lies inside the region of the map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.affine import AffineMap
from captum_ilin.companions.errors import CompanionInputError
from captum_ilin.companions.geometry.distances import nearest_boundary
from captum_ilin.errors import RegionError

if TYPE_CHECKING:
    from captum_ilin.region import Region

    Value = Tensor | tuple[Tensor, ...]

__all__ = ["REACHES", "LocalBoundary", "local_boundary"]

REACHES = ("margin", "margin_bound", "exit", None)


@dataclass(frozen=True)
class LocalBoundary:
    """The nearest decision boundary of the map at one input. Made by `local_boundary`.

    Attributes:
        predicted: the class p with the largest logit.
        rival: the class beyond the boundary.
        distance: ℓ2, from the input to it; inf where every class has the same row of W.
        direction: the step from the input onto it, shaped like the inputs; zeros where the
            distance is infinite.
        exit: how far along ``direction`` the region ends, ℓ2; inf if never, NaN if not asked.
        exit_unit: op and path of the module that ends it, such as "relu in '1'".
        radius: how far it is to the region's end in the worst direction, ℓ2; inf if it has
            none, NaN if not asked.
    """

    predicted: int
    rival: int
    distance: float
    direction: Value
    exit: float
    exit_unit: str
    radius: float

    @property
    def is_inside(self) -> bool:
        """Whether the boundary is reached before the region ends: the network has it there."""
        return self.distance < torch.inf and self.exit >= self.distance

    @property
    def is_certified(self) -> bool:
        """Whether no boundary is nearer: the whole ball up to it lies inside the region.

        With the confidence of ``Region.margin_bound`` where that measured the radius.
        """
        return self.radius >= self.distance

    @property
    def lower_bound(self) -> float:
        """No step shorter than this changes the prediction; NaN where no radius was asked."""
        return min(self.distance, self.radius) if self.radius == self.radius else self.radius

    @property
    def upper_bound(self) -> float:
        """Some step of this length reaches a boundary: inf where the region ends first."""
        return self.distance if self.is_inside else torch.inf

    def __str__(self) -> str:
        if self.distance == torch.inf:
            return "no boundary, for every class has the same row of W"
        end = f"class {self.rival} begins {self.distance:.4g} away"
        if self.exit != self.exit:
            return f"{end}, as far as the map holds"
        if self.is_certified:
            return f"{end}, certified: no boundary is nearer"
        if self.is_inside:
            return f"{end}, inside the region"
        return (
            f"the region ends first, {self.exit:.4g} away at {self.exit_unit}; beyond, the map "
            f"would have class {self.rival} begin {self.distance:.4g} away"
        )


def local_boundary(affine_map: AffineMap, *, reach: str | None = "margin") -> LocalBoundary:
    """The nearest decision boundary of one input's map.

    Args:
        affine_map: ``linearize(model, x)`` of one example, (1, \\*features), in float64 if the
            end of the region is to be told from rounding.
        reach (optional): how the map's reach is measured. "margin" (default): the region's
            exact distance in every direction; "margin_bound": the same for networks of any
            size, with its probability; "exit": only along the way to the boundary; None: not
            at all, for networks without a region.

    Raises:
        CompanionInputError: the network has no region, the example is not one, the outputs are
            no logits of two classes, or an unknown ``reach``.
        RegionError: the region has too many units for "margin".

    Cost: a backward pass for each class; then those of ``Region.exit`` and of ``reach``.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> from captum_ilin.companions.geometry import local_boundary
    >>> nn = torch.nn
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    >>> x = torch.randn(1, 4).double()
    >>> found = local_boundary(linearize(model, x))
    >>> print(found)  # doctest: +ELLIPSIS
    class ... away...
    """
    check_reach(reach)
    if not isinstance(affine_map, AffineMap):
        raise CompanionInputError(
            f"A boundary is that of a map, but got a {type(affine_map).__name__}. Pass "
            "linearize(model, x)."
        )
    _check_outputs(affine_map.outputs)
    rows = rows_of(affine_map)
    return boundary_of(affine_map, rows, reach)


def boundary_of(affine_map: AffineMap, rows: Tensor, reach: str | None) -> LocalBoundary:
    """The boundary, of a map whose W is known, (classes, features), over all inputs."""
    logits = affine_map.outputs
    own = logits.argmax(1)
    differences = rows[own] - rows
    nearest = nearest_boundary(logits, differences.norm(dim=1)[None], own)
    distance, rival = float(nearest.distance), int(nearest.rival)
    step = torch.zeros_like(rows[0])
    if 0 < distance < torch.inf:
        row = differences[rival]
        step = -distance / row.norm() * row
    direction = _shaped(step, affine_map)
    exit, unit, radius = torch.nan, "", torch.nan
    if reach is not None:
        region = _region(affine_map)
        exit, unit = _exit(region, direction, distance)
        radius = _radius(region, reach)
    return LocalBoundary(int(own), rival, distance, direction, exit, unit, radius)


def check_reach(reach: str | None) -> None:
    """Raise for a measure of reach that there is not."""
    if reach not in REACHES:
        known = ", ".join(map(repr, REACHES))
        raise CompanionInputError(f"reach must be one of {known}, but got {reach!r}.")


def _check_outputs(outputs: Tensor) -> None:
    if outputs.dim() != 2 or len(outputs) != 1 or outputs.shape[1] < 2:
        raise CompanionInputError(
            "A boundary is that of one example's logits, (1, classes) with two classes or "
            f"more, but the map's outputs are {tuple(outputs.shape)}. Linearize one row, x[:1]."
        )


def rows_of(affine_map: AffineMap) -> Tensor:
    """W as (classes, features), all inputs side by side."""
    weight = affine_map.weight()
    parts = weight if isinstance(weight, tuple) else (weight,)
    return torch.cat([part[0].flatten(1) for part in parts], 1)


def _shaped(step: Tensor, affine_map: AffineMap) -> Value:
    sizes = [leaf.numel() for leaf in affine_map.leaves]
    parts = tuple(
        part.reshape(leaf.shape)
        for part, leaf in zip(step.split(sizes), affine_map.leaves, strict=True)
    )
    return parts if isinstance(affine_map.inputs, tuple) else parts[0]


def _region(affine_map: AffineMap) -> Region:
    try:
        return affine_map.region()
    except RegionError as error:
        raise CompanionInputError(
            f"How far the boundary's map holds cannot be said. {error} With reach=None the "
            "margin is that of the map alone, and nothing says how far it holds."
        ) from error


def _exit(region: Region, direction: Value, distance: float) -> tuple[float, str]:
    if not 0 < distance < torch.inf:  # nowhere to go
        return torch.inf, ""
    found = region.exit(direction)
    where = f"{found.op} in {found.module!r}" if found.module else found.op
    return found.step * distance, where


def _radius(region: Region, reach: str) -> float:
    if reach == "exit":
        return torch.nan
    return (region.margin() if reach == "margin" else region.margin_bound()).distance
