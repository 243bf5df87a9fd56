"""``GeometryShift``: what pruning, or a corruption, did to angle, norm and margin.

The same examples before and after, each by itself, and the two distributions as a whole: the
1-Wasserstein distance, ∫ |F⁻¹(q) − G⁻¹(q)| dq of the two quantile functions, is the least
average way that one must be moved to become the other, in the metric's own unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch

from captum_ilin.companions.errors import CompanionInputError, CompanionPackageError
from captum_ilin.companions.geometry.features import FeatureGeometry
from captum_ilin.companions.geometry.inputs import InputGeometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["METRICS", "Fragile", "GeometryShift", "compare"]

METRICS = ("angle", "norm", "margin")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
T = TypeVar("T", FeatureGeometry, InputGeometry)


class Fragile(NamedTuple):
    """Examples that were right before, the most fragile first.

    Attributes:
        indices: their numbers, (k,).
        before, after: their margins, (k,).
    """

    indices: Tensor
    before: Tensor
    after: Tensor


@dataclass(frozen=True)
class GeometryShift:
    """The same examples before and after. Made by `compare`.

    Attributes:
        before, after: `FeatureGeometry` or `InputGeometry`, both of one kind.
    """

    before: FeatureGeometry | InputGeometry
    after: FeatureGeometry | InputGeometry

    def __repr__(self) -> str:
        return f"GeometryShift({self.before!r}, {int(self.has_failed.sum())} have failed)"

    @property
    def has_failed(self) -> Tensor:
        """Right before and wrong after, (n,)."""
        return self.before.is_correct & ~self.after.is_correct

    def change(self, metric: str) -> Tensor:
        """After − before of each example, (n,), for one of "angle", "norm", "margin"."""
        before, after = self._pair(metric)
        return after - before

    def quantiles(self, metric: str, at: Sequence[float] = QUANTILES) -> tuple[Tensor, Tensor]:
        """Of the examples before, and after, (len(at),) each.

        Args:
            metric: one of "angle", "norm", "margin".
            at: between 0 and 1. Default: 0.05, 0.25, 0.5, 0.75, 0.95.
        """
        places = torch.as_tensor(at, dtype=torch.float64)
        if not len(places) or bool(((places < 0) | (places > 1)).any()):
            raise CompanionInputError(
                f"Quantiles are asked for at numbers from 0 to 1, but got {list(at)!r}."
            )
        before, after = self._pair(metric)
        return before.quantile(places), after.quantile(places)

    def wasserstein(self, metric: str) -> float:
        """How far the distribution has moved, in the metric's unit; 0 if not at all.

        Raises:
            CompanionPackageError: SciPy is not installed.
        """
        try:
            from scipy.stats import wasserstein_distance
        except ModuleNotFoundError as error:
            raise CompanionPackageError(
                "The distance of two distributions needs SciPy, which is not installed. Get it "
                'with: python -m pip install "captum-ilin[scipy]"'
            ) from error
        before, after = self._pair(metric)
        return float(wasserstein_distance(before.numpy(), after.numpy()))

    def fragile(self, k: int, *, by: str = "after") -> Fragile:
        """The examples that were right before and are the most fragile.

        Args:
            k: at most so many.
            by: "after" (default), by the margin that is left, those that fail with the
                largest negative one first; "change", by how much of it is lost.
        """
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise CompanionInputError(f"k must be an int from 1, but got {k!r}.")
        if by not in ("after", "change"):
            raise CompanionInputError(f"by must be 'after' or 'change', but got {by!r}.")
        right = self.before.is_correct.nonzero()[:, 0]
        before, after = self._pair("margin")
        score = after if by == "after" else after - before
        indices = right[score[right].argsort(stable=True)[:k]]
        return Fragile(indices, before[indices], after[indices])

    def _pair(self, metric: str) -> tuple[Tensor, Tensor]:
        if metric not in METRICS:
            known = ", ".join(map(repr, METRICS))
            raise CompanionInputError(f"The metric must be one of {known}, but got {metric!r}.")
        pair = getattr(self.before, metric), getattr(self.after, metric)
        for values in pair:
            broken = (~torch.isfinite(values)).nonzero()
            if len(broken):
                raise CompanionInputError(
                    f"The {metric} of example {int(broken[0])} is {float(values[broken[0]])}, "
                    "so that distributions cannot be compared: the example or a row of its W "
                    "is 0, or its map has no boundary. Leave such examples out of both."
                )
        return pair


def compare(before: T, after: T) -> GeometryShift:
    """Two readings of the same examples: of two networks, or of clean and corrupted inputs.

    Args:
        before, after: two `FeatureGeometry` or two `InputGeometry`, of the same examples in the
            same order, with the same classes. In feature space the norms of two networks are
            in each network's own unit.

    Raises:
        CompanionInputError: they are not of one kind, or not of the same examples.

    Cost: none.

    >>> import torch
    >>> from captum_ilin.companions.geometry import compare, feature_geometry
    >>> nn = torch.nn
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    >>> x, labels = torch.randn(50, 4).double(), torch.randint(3, (50,))
    >>> clean = feature_geometry(model, (x, labels))
    >>> shift = compare(clean, feature_geometry(model, (x + 0.1, labels)))
    >>> shift.change("margin").shape
    torch.Size([50])
    >>> shift.fragile(3).indices.shape
    torch.Size([3])
    """
    kinds = type(before), type(after)
    if kinds[0] is not kinds[1] or kinds[0] not in (FeatureGeometry, InputGeometry):
        raise CompanionInputError(
            "Compared are two FeatureGeometry or two InputGeometry, but got "
            f"{kinds[0].__name__} and {kinds[1].__name__}."
        )
    shapes = before.angles.shape, after.angles.shape
    if shapes[0] != shapes[1]:
        raise CompanionInputError(
            "Compared are the same examples and classes, but before there are "
            f"{shapes[0][0]} examples of {shapes[0][1]} classes, and after {shapes[1][0]} of "
            f"{shapes[1][1]}."
        )
    other = (before.labels != after.labels).nonzero()
    if len(other):
        at = int(other[0])
        raise CompanionInputError(
            f"Example {at} has the label {int(before.labels[at])} before and "
            f"{int(after.labels[at])} after, so these are not the same examples in the same "
            "order. Read both from the same data."
        )
    return GeometryShift(before, after)
