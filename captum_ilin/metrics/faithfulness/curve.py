"""``Curve``: the output while features go one after the other, from one end to the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from captum_ilin.metrics.scores import Scores

if TYPE_CHECKING:
    from captum_ilin.metrics.scores import Direction

__all__ = ["Curve", "Order", "Start"]

Order = Literal["morf", "lerf"]
Start = Literal["inputs", "baseline"]


@dataclass(frozen=True, repr=False)
class Curve:
    """Outputs of each example while its features are removed, or put in.

    Attributes:
        values: (batch, steps + 1), float64 on the CPU: F_t before the first step, …, after
            the last one. Both end points are there.
        fractions: (batch, steps + 1), from 0 to 1: the share of the example's features that
            is removed (or put in) at each point.
        order: "morf", the most relevant features first, or "lerf", the least relevant first.
        start: "inputs" (features are removed) or "baseline" (they are put in).
        reasons: for each example why its values are NaN, None where they are not.
        rounding: (batch,) by how much outputs differ that are the same; None for not at all.

    >>> import torch
    >>> from captum_ilin.metrics import perturbation_curve
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> curve = perturbation_curve(lambda x: x.sum(1), x, attributions=x)
    >>> curve
    Curve(morf from inputs: 1 example, 3 steps)
    >>> curve.values
    tensor([[6., 3., 1., 0.]], dtype=torch.float64)
    >>> curve.area()
    tensor([2.3333], dtype=torch.float64)
    """

    values: Tensor
    fractions: Tensor
    order: Order
    start: Start
    reasons: tuple[str | None, ...]
    rounding: Tensor | None = None

    def __repr__(self) -> str:
        count, points = self.values.shape
        examples = "1 example" if count == 1 else f"{count} examples"
        return f"Curve({self.order} from {self.start}: {examples}, {points - 1} steps)"

    def area(self) -> Tensor:
        """(batch,) the area under the curve by the trapezoid rule; both end points count."""
        return torch.trapezoid(self.values, self.fractions, dim=1)

    def area_before_the_end(self) -> Tensor:
        """(batch,) the area without the last step, over its width; NaN if it is the only one.

        A step that removes nothing has no width, and the last one is the last with a width.
        """
        widths = self.fractions.diff(dim=1)
        heights = (self.values[:, 1:] + self.values[:, :-1]) / 2
        kept = (self.fractions[:, 1:] < 1) * widths
        width = kept.sum(1)
        return (kept * heights).sum(1) / width.where(width > 0, torch.nan)

    def relative(self) -> Curve:
        """The curve with F(x) at 1 and F(x') at 0: (F − F(x')) / (F(x) − F(x')).

        NaN for an example with F(x) = F(x') to rounding: its curve has no scale.
        """
        first, last = self.values[:, :1], self.values[:, -1:]
        whole, none = (first, last) if self.start == "inputs" else (last, first)
        rounding = 0.0 if self.rounding is None else self.rounding[:, None]
        flat = ((whole - none).abs() <= rounding)[:, 0]
        scale = (whole - none).where(~flat[:, None], torch.nan)
        reasons = tuple(
            "The output is the same for the input and the baseline." if same else reason
            for same, reason in zip(flat.tolist(), self.reasons, strict=True)
        )
        return replace(self, values=(self.values - none) / scale, reasons=reasons)

    def scores(self, metric: str, direction: Direction) -> Scores:
        """The area of each example as scores."""
        reasons = [reason or "The area is not finite." for reason in self.reasons]
        return Scores.of(metric, direction, self.area(), reasons)
