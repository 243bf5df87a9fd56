"""The encoder: from an image or a table's row to two coordinates.

It ends in a linear ``head`` with two outputs, so that a rotation of the map is one of the head
(see `posed`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Perceptron"]


class Perceptron(nn.Module):
    """Linear layers with an activation after each but the head.

    Args:
        features: of a point, all dimensions together.
        widths: of the hidden layers.
        activation: made once for each hidden layer. With ReLU the encoder is piecewise linear.

    Shape: (n, \\*features) → (n, 2).
    """

    def __init__(
        self,
        features: int,
        widths: Sequence[int] = (128, 128),
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((features, *widths), widths, strict=False):
            layers += [nn.Linear(before, after), activation()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], 2)

    def forward(self, points: Tensor) -> Tensor:
        # not nn.Flatten, for which Captum's LRP has no rule
        coordinates: Tensor = self.head(self.layers(points.flatten(1)))
        return coordinates
