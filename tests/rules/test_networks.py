"""Random networks from the op table: branches, reuse, in-place ops, products, views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from captum_ilin import DEFAULT_RULES, TANGENT_RULES, check_affine_map, linearize

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 4


def _constant(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) / 2


def _write_through_view(y: Tensor) -> Tensor:
    y = y * 1.5
    y[:, :2].tanh_()
    y[:, 2:] += _constant(5, WIDTH - 2)
    return y


UNARY: list[Callable[[Tensor], Tensor]] = [
    F.relu,
    F.gelu,
    F.silu,
    F.hardswish,
    torch.tanh,
    torch.sigmoid,
    lambda y: F.leaky_relu(y, 0.1, inplace=False),
    lambda y: F.softmax(y, -1),
    lambda y: F.layer_norm(y, (WIDTH,), _constant(1, WIDTH), _constant(2, WIDTH)),
    lambda y: F.rms_norm(y, (WIDTH,)),
    lambda y: F.linear(y, _constant(3, WIDTH, WIDTH), _constant(4, WIDTH)),
    lambda y: (y + 0.1).clamp_(-0.8, 0.8),
    lambda y: F.relu6(y * 3, inplace=True),
    lambda y: torch.cat([y[:, 2:], y[:, :2]], 1) + 0.3,
    lambda y: torch.max(y, torch.zeros_like(y)),
    lambda y: y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-3),
    _write_through_view,
]
BINARY: list[Callable[[Tensor, Tensor], Tensor]] = [
    torch.add,
    torch.mul,
    lambda a, b: a * torch.sigmoid(b),
    lambda a, b: a / (1 + b.abs()),
    lambda a, b: torch.where(a > b, a, b),
    lambda a, b: torch.softmax(a.unsqueeze(2) * b.unsqueeze(1), -1).matmul(b.unsqueeze(2))[
        ..., 0
    ],
]
STEP = st.tuples(
    st.sampled_from(range(len(UNARY) + len(BINARY))), st.integers(0, 99), st.integers(0, 99)
)


def _network(steps: list[tuple[int, int, int]]) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        values = [x]
        for choice, first, second in steps:
            left, right = values[first % len(values)], values[second % len(values)]
            if choice < len(UNARY):
                values.append(UNARY[choice](left))
            else:
                values.append(BINARY[choice - len(UNARY)](left, right))
        return torch.stack(values, 1).sum(1) + 0.1 * x

    return forward


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(STEP, min_size=1, max_size=8), st.sampled_from([DEFAULT_RULES, TANGENT_RULES]))
def test_random_networks_are_exact_and_affine(steps: list[Any], table: Any) -> None:
    x = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    check_affine_map(linearize(_network(steps), x, rules=table, strict=True))
