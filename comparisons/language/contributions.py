"""``TokenContributions``: one number a model computed from a text, split over its tokens.

F = Σ_i φ_i + b, where φ_i = Σ_d W_id x_id sums over the features d of token i's embedding x_i.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin import in_double, linearize

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from torch import nn

    from captum_ilin import Certificate

__all__ = ["TokenContributions", "check_double", "contributions_of"]


@dataclass(frozen=True)
class TokenContributions:
    """Exact contributions of tokens to one number.

    Attributes:
        model: the model's name.
        question: what was asked of the model, in words.
        unit: of the value, the contributions and the bias.
        tokens: as a person reads them, in order.
        contributions: φ, (tokens,).
        value: F, by the plain model from the token numbers.
        bias: b, from the ledger.
        certificate: the measured exactness of the affine map.
        predictions: (token, probability), the most probable first; of encoders none.
    """

    model: str
    question: str
    unit: str
    tokens: tuple[str, ...]
    contributions: Tensor
    value: float
    bias: float
    certificate: Certificate
    predictions: tuple[tuple[str, float], ...] = ()

    @property
    def largest(self) -> float:
        """The largest |φ_i|, the end of a symmetric scale."""
        return float(self.contributions.abs().max()) or 1.0

    @property
    def bias_share(self) -> float:
        """|b| / |F|."""
        return abs(self.bias / self.value)

    @property
    def completeness_error(self) -> float:
        """|Σφ + b − F| / |F|."""
        return abs((float(self.contributions.sum()) + self.bias - self.value) / self.value)

    @property
    def weight_error(self) -> float:
        """|Σφ − F| / |F|: rounding where no constant enters, about the bias share elsewhere."""
        return abs((float(self.contributions.sum()) - self.value) / self.value)


def contributions_of(
    forward_func: Callable[[Tensor], Tensor], embeddings: Tensor, **facts: Any
) -> TokenContributions:
    """Linearize a function of embeddings, in float64 throughout, and sum over features.

    Args:
        forward_func: (1, tokens, width) → (1,); its parameters are float64.
        embeddings: of the text's tokens, float64.
        facts: the other attributes of the result.
    """
    affine_map = linearize(in_double(forward_func), embeddings, strict=True)
    weight = affine_map.weight()
    assert isinstance(weight, Tensor)
    return TokenContributions(
        contributions=(weight * embeddings).sum(-1)[0],
        bias=float(affine_map.bias()),
        certificate=affine_map.check(),
        **facts,
    )


def check_double(model: nn.Module) -> None:
    """Raise TypeError unless the model computes in float64."""
    dtype = next(model.parameters()).dtype
    if dtype != torch.float64:
        raise TypeError(
            f"The model computes in {dtype}, and contributions are measured in torch.float64. "
            "Call model.double() first."
        )
