"""Linearity: whether the attributions of a sum are the sum of the attributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from captum_ilin.metrics.axiomatic.differences import relative_difference
from captum_ilin.metrics.chance import Seed, drawing_from, number_of
from captum_ilin.metrics.explaining import attributions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from captum_ilin.metrics.explaining import Method
    from captum_ilin.metrics.features import Inputs
    from captum_ilin.metrics.scores import Scores

__all__ = ["linearity"]


def linearity(
    method: Method,
    f: Callable[..., Any],
    g: Callable[..., Any],
    inputs: Inputs,
    a: float = 1.0,
    b: float = 1.0,
    *,
    target: Any = None,
    additional_forward_args: Any = None,
    attribute_kwargs: Mapping[str, Any] | None = None,
    seed: Seed = 0,
) -> Scores:
    """How far the attributions of a·f + b·g are from a·φ(f) + b·φ(g).

    ‖φ(a f + b g) − (a φ(f) + b φ(g))‖₂ / ‖a φ(f) + b φ(g)‖₂.

    Args:
        method: forward function → explainer, such as the class ``captum.attr.Saliency``.
        f: a forward function.
        g: another with the same inputs and outputs. Methods that hook modules need modules
            of its own: pass a copy if f and g share some.
        inputs: (batch, \\*features), or a tuple of such tensors.
        a: the weight of f.
        b: the weight of g.
        target: any of Captum's target forms.
        additional_forward_args: further arguments of f and of g.
        attribute_kwargs: further arguments of ``attribute``.
        seed: PyTorch's global generator starts from it for each of the three attributions, so
            a random method draws the same.

    Returns:
        Lower is better, from 0; NaN where a φ(f) + b φ(g) is 0 throughout.

    Raises:
        MetricInputError: attributions are not shaped like the inputs.

    Cost: three attributions.

    Source: Sundararajan et al. 2017, arXiv 1703.01365, section 3 (linearity).

    >>> import torch
    >>> from captum.attr import InputXGradient, Saliency
    >>> from captum_ilin.metrics import linearity
    >>> f, g, x = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2), torch.rand(4, 3)
    >>> bool(linearity(InputXGradient, f, g, x, 2.0, -1.0, target=0).values.max() < 1e-5)
    True
    >>> bool(linearity(Saliency, f, g, x, 2.0, -1.0, target=0).values.min() > 0.01)
    True
    """
    number = number_of(seed)

    def explained(forward_func: Callable[..., Any]) -> tuple[Tensor, ...]:
        with drawing_from(number):
            return attributions_of(
                method,
                forward_func,
                inputs,
                target=target,
                additional_forward_args=additional_forward_args,
                attribute_kwargs=attribute_kwargs,
            )

    of_f, of_g, of_sum = explained(f), explained(g), explained(_Sum(f, g, a, b))
    expected = tuple(
        a * left.double() + b * right.double() for left, right in zip(of_f, of_g, strict=True)
    )
    return relative_difference("linearity", of_sum, expected)


class _Sum(nn.Module):
    """a·f + b·g, a module so that methods that hook modules find those of f and g."""

    def __init__(
        self, f: Callable[..., Any], g: Callable[..., Any], a: float, b: float
    ) -> None:
        super().__init__()
        self.f, self.g, self.a, self.b = f, g, a, b
        self.training = any(child.training for child in self.children())

    def forward(self, *args: Any) -> Any:
        return self.a * self.f(*args) + self.b * self.g(*args)
