"""Ops that write in place: into a tensor, through a view, into a constant buffer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin import DEFAULT_RULES, TANGENT_RULES, check_affine_map, linearize

if TYPE_CHECKING:
    from collections.abc import Callable

TABLES = [DEFAULT_RULES, TANGENT_RULES]
CONSTANT = torch.linspace(-1.0, 2.0, 12, dtype=torch.float64).reshape(3, 4)


def through_view(x: Tensor) -> Tensor:
    y = x * 2
    y[:, 1:3].add_(CONSTANT[:, :2])
    return y


def activation_through_view(x: Tensor) -> Tensor:
    y = x + 1
    y[:, :2].sigmoid_()
    y[:, 2:].tanh_()
    return y * 3


def base_after_view(x: Tensor) -> Tensor:
    y = x + 1
    view = y.view(3, 2, 2)
    view[:, 0].clamp_(-0.5, 0.5)
    return y + view.reshape(3, 4)


def into_buffer(x: Tensor) -> Tensor:
    buffer = torch.zeros(3, 6, dtype=x.dtype)
    buffer[:, 4:] = 5.0
    buffer[:, :4] = x.relu()
    return buffer


def into_part_of_constant(x: Tensor) -> Tensor:
    buffer = CONSTANT.clone()
    buffer[:, 1:3] = x[:, 1:3] * 2
    return buffer * 0.5


def constant_into_active(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, 0] = CONSTANT[:, 0]
    y[y > 1] = 0.25
    return y


def augmented(x: Tensor) -> Tensor:
    x -= CONSTANT
    x *= 2
    x /= torch.full((3, 1), 0.3, dtype=x.dtype)
    x += x.sigmoid()
    return x


def product_in_place(x: Tensor) -> Tensor:
    y = x + 1
    y *= torch.sigmoid(x)
    y.mul_(x)
    return y


def functional(x: Tensor) -> Tensor:
    y = F.silu(x + 1, inplace=True)
    y = F.relu6(y * 4, inplace=True)
    y = F.hardswish(y - 1, inplace=True)
    return F.relu(F.elu(y, 0.5, True), True)


def rows_one_by_one(x: Tensor) -> Tensor:
    return torch.stack([row * (1 + number) + number for number, row in enumerate(x.t())], 1)


WRITES = [
    *(through_view, activation_through_view, base_after_view, into_buffer),
    *(into_part_of_constant, constant_into_active, augmented, product_in_place),
    *(functional, rows_one_by_one),
]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize("forward", WRITES, ids=lambda forward: forward.__name__)
def test_writes_are_exact(forward: Callable[[Tensor], Tensor], table: Any) -> None:
    certificate = linearize(
        forward, torch.randn(3, 4, dtype=torch.float64), rules=table
    ).check()
    assert certificate.largest_error < 1e-13


def test_the_input_is_not_written_to() -> None:
    x = torch.randn(3, 4, dtype=torch.float64)
    before = x.clone()
    linearize(augmented, x).check()
    assert torch.equal(x, before)


def test_bias_of_a_buffer_is_what_was_there() -> None:
    affine_map = linearize(into_part_of_constant, torch.randn(3, 4, dtype=torch.float64))
    expected = CONSTANT * 0.5
    expected[:, 1:3] = 0.0
    assert torch.allclose(affine_map.bias(), expected)


def test_a_constant_overwritten_later_is_refused() -> None:
    offset = torch.ones(4, dtype=torch.float64)

    def forward(x: Tensor) -> Tensor:
        y = x + offset
        offset.add_(1)
        return y * 2

    affine_map = linearize(forward, torch.randn(3, 4, dtype=torch.float64))
    with pytest.raises(ArithmeticError, match="overwritten in place after it was used"):
        affine_map.bias()


def test_the_last_column_alone_is_written() -> None:
    check_affine_map(linearize(through_last_column, torch.randn(3, 4, dtype=torch.float64)))


def through_last_column(x: Tensor) -> Tensor:
    y = x * 2
    y[:, -1].exp_()
    return y


@pytest.mark.parametrize("op", [torch.relu_, torch.sigmoid_, torch.neg_, torch.ops.aten.exp_])
def test_what_is_written_to_may_be_named(op: Callable[..., Tensor]) -> None:
    x = torch.linspace(-1.5, 1.5, 12, dtype=torch.float64).reshape(3, 4)
    name = "self" if op is torch.ops.aten.exp_ else "input"
    affine_map = linearize(lambda x: op(**{name: x * 2}) * 3, x)
    check_affine_map(affine_map)
    by_place = linearize(lambda x: op(x * 2) * 3, x)
    assert torch.equal(affine_map.weight(), by_place.weight())
    assert torch.equal(affine_map.bias(), by_place.bias())


def test_a_constant_that_is_written_to_may_be_named() -> None:
    x = torch.ones(2, 3, dtype=torch.float64)
    check_affine_map(linearize(lambda x: x * torch.relu_(input=torch.full_like(x, 2.0)), x))


@torch.library.custom_op("ilin_writes::scale", mutates_args=("z",))
def scale(z: Tensor, factor: float) -> None:
    z.mul_(factor)


def test_what_a_custom_op_writes_to_may_be_named() -> None:
    def rule(z: Tensor, factor: float) -> None:
        z.mul_(factor)

    def forward(x: Tensor) -> Tensor:
        y = x + 1
        scale(z=y, factor=2.0)
        return y

    x = torch.ones(2, 3, dtype=torch.float64)
    affine_map = linearize(forward, x, rules=DEFAULT_RULES | {scale: rule}, strict=True)
    assert affine_map.check().completeness_error == 0
    assert torch.equal(affine_map.bias(), torch.full((2, 3), 2.0, dtype=torch.float64))
