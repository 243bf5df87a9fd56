"""Gradients that lie in memory in another order than the values they belong to.

PyTorch 2.13 reads such a gradient in the wrong order in the backward pass of batch norm, for
a batch of one on the CPU; batch norm's map must not follow it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin import DEFAULT_RULES, TANGENT_RULES, RuleTable, frozen, linearize

if TYPE_CHECKING:
    from collections.abc import Callable

CHANNELS, EPS = 6, 1e-5
MEAN, SCALE, SHIFT = torch.randn(3, CHANNELS, dtype=torch.float64).unbind()
VARIANCE = torch.rand(CHANNELS, dtype=torch.float64) + 0.5
TABLES = pytest.mark.parametrize(
    "rules", [DEFAULT_RULES, TANGENT_RULES], ids=["default", "tangent"]
)
TRANSPOSED = [(6 * 16, 1, 24, 6), (1, 1, 24, 6), (6, 1, 24, 6)]  # channels last, of one image
STANDARD = [(6 * 16, 16, 4, 1), (1, 16, 4, 1), (6, 16, 4, 1)]


def batch_norm(x: Tensor) -> Tensor:
    return F.batch_norm(x, MEAN, VARIANCE, SCALE, SHIFT, eps=EPS)


def batch_norm_mean(x: Tensor) -> Tensor:
    return batch_norm(x).mean((2, 3))


def instance_norm_with_running_statistics(x: Tensor) -> Tensor:
    return F.instance_norm(x, MEAN, VARIANCE, SCALE, SHIFT, use_input_stats=False, eps=EPS)


def instance_norm(x: Tensor) -> Tensor:
    return F.instance_norm(x, weight=SCALE, bias=SHIFT, eps=EPS)


def strided(values: Tensor, strides: tuple[int, ...]) -> Tensor:
    return torch.empty_strided(values.shape, strides, dtype=values.dtype).copy_(values)


@TABLES
@pytest.mark.parametrize("norm", [batch_norm, instance_norm_with_running_statistics])
@pytest.mark.parametrize("size", [(16,), (4, 4), (2, 2, 4)], ids=["1d", "2d", "3d"])
def test_a_transpose_after_a_norm_of_one_example(
    norm: Callable[[Tensor], Tensor], rules: RuleTable, size: tuple[int, ...]
) -> None:
    x = torch.randn(1, CHANNELS, *size, dtype=torch.float64)
    tokens = torch.randn(16, CHANNELS, dtype=torch.float64)

    def forward(x: Tensor) -> Tensor:
        return (norm(x).flatten(2).transpose(1, 2) * tokens).sum((1, 2))

    affine_map = linearize(forward, x, rules=rules)
    weight: Any = affine_map.weight()
    expected = tokens * SCALE / (VARIANCE + EPS).sqrt()
    assert torch.allclose(weight.flatten(2)[0].T, expected, rtol=1e-12, atol=1e-13)
    affine_map.check()


@TABLES
@pytest.mark.parametrize("norm", [batch_norm, instance_norm], ids=["batch", "instance"])
@pytest.mark.parametrize("of_gradient", STANDARD + TRANSPOSED, ids=str)
@pytest.mark.parametrize("of_input", STANDARD + TRANSPOSED, ids=str)
def test_any_layout_of_one_image(
    norm: Callable[[Tensor], Tensor],
    rules: RuleTable,
    of_input: tuple[int, ...],
    of_gradient: tuple[int, ...],
) -> None:
    x, vector = torch.randn(2, 1, CHANNELS, 4, 4, dtype=torch.float64).unbind()

    def pulled(x: Tensor, vector: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        return torch.autograd.grad(frozen(norm, rules=rules)(x), x, vector)[0]

    got = pulled(strided(x, of_input), strided(vector, of_gradient))
    assert torch.allclose(got, pulled(x, vector), rtol=1e-12, atol=1e-13)


@TABLES
@pytest.mark.parametrize(
    "layout", [torch.contiguous_format, torch.channels_last], ids=["standard", "channels_last"]
)
def test_batched_gradients_of_a_norm(layout: torch.memory_format, rules: RuleTable) -> None:
    x = torch.randn(2, CHANNELS, 4, 4, dtype=torch.float64).contiguous(memory_format=layout)
    forward = frozen(batch_norm_mean, rules=rules)
    jacobian = torch.autograd.functional.jacobian
    batched = jacobian(forward, x, vectorize=True)
    assert torch.allclose(batched, jacobian(batch_norm_mean, x), rtol=1e-12, atol=1e-13)
