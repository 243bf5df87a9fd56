"""The grouped matrix product of mixtures of experts: a product of each group's own factors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin import check_rule, linearize

OFFSETS = torch.tensor([2, 6], dtype=torch.int32)


def test_grouped_mm_is_linear_in_the_tokens() -> None:
    """W of a token is its own expert's matrix."""
    tokens, experts = torch.randn(6, 4), torch.randn(2, 4, 8)

    def forward(tokens: Tensor) -> Tensor:
        return F.grouped_mm(tokens, experts, offs=OFFSETS)

    affine_map = linearize(forward, tokens, strict=True)
    for target in (0, 5):
        wanted = torch.stack([experts[int(row >= 2), :, target] for row in range(6)])
        assert torch.allclose(affine_map.weight(target=target), wanted, atol=1e-6)
    assert not affine_map.bias().any()


def test_grouped_mm_of_two_active_factors_is_split() -> None:
    tokens = torch.randn(6, 4).requires_grad_()
    experts = torch.randn(2, 4, 8).requires_grad_()
    check_rule(torch._grouped_mm, tokens, experts, offs=OFFSETS, tolerance=1e-5)
