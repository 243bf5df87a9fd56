"""Ops that draw random numbers: the plain op's numbers, without slope, the same in replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F

from captum_ilin import check_affine_map, linearize
from tests.rules.test_cases import DRAWS

if TYPE_CHECKING:
    from torch import Tensor


@pytest.mark.parametrize("name", DRAWS)
def test_draw_in_place(name: str) -> None:
    def forward(x: Tensor) -> Tensor:
        drawn = x.clone()
        drawn[:, :2] *= 3
        getattr(drawn[:, 1:], f"{name}_")(*((0.4,) if name == "geometric" else ()))
        return drawn

    x = torch.randn(1, 4).double()
    torch.manual_seed(5)
    expected = forward(x)
    torch.manual_seed(5)
    affine_map = linearize(forward, x)
    assert torch.equal(affine_map.outputs, expected)
    weight = affine_map.weight()
    assert torch.equal(weight[0].diagonal(), torch.tensor([3.0, 0, 0, 0]).double())
    assert torch.equal(affine_map.bias()[0, 1:], expected[0, 1:])


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax(hard: bool) -> None:
    """The slope at the noise as drawn: (diag p − p pᵀ)/τ."""

    def forward(x: Tensor) -> Tensor:
        return F.gumbel_softmax(x, tau=0.7, hard=hard)

    x = torch.randn(1, 4).double()
    torch.manual_seed(5)
    expected = forward(x)
    torch.manual_seed(5)
    noise = -torch.empty_like(x).exponential_().log()
    p = ((x + noise) / 0.7).softmax(-1)[0]
    torch.manual_seed(5)
    with pytest.warns(UserWarning, match="noise"):
        affine_map = linearize(forward, x)
    assert torch.equal(affine_map.outputs, expected)
    slope = (torch.diag(p) - torch.outer(p, p)) / 0.7
    assert torch.allclose(affine_map.weight()[0], slope, rtol=0, atol=1e-14)


def test_draws_pass_the_laws() -> None:
    def forward(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return x * 2 + x.clone().uniform_() + torch.rand_like(x)

    check_affine_map(linearize(forward, torch.randn(1, 5).double()))
