"""Writes out of autograd's sight, and ``out=``: right, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from captum_ilin import linearize
from captum_ilin.errors import NotExactError, RefusedOpError
from tests.architectures.exactness import assert_exact, check_network, one_row

if TYPE_CHECKING:
    from collections.abc import Callable

CONSTANT = torch.linspace(-1.0, 2.0, 12, dtype=torch.float64).reshape(3, 4)


def under_no_grad(x: Tensor) -> Tensor:
    y = x * 3
    with torch.no_grad():
        y.mul_(2)
    return y + x


def item_under_no_grad(x: Tensor) -> Tensor:
    y = x * 3
    with torch.no_grad():
        y[:, 0] = 0.0
    return y * x


def view_under_no_grad(x: Tensor) -> Tensor:
    y = x * 3
    with torch.no_grad():
        y[:, 1:].add_(1.0)
    return y * x


def through_data(x: Tensor) -> Tensor:
    y = x * 3
    y.data[:, 0] = 7.0
    return y * 2 + x


def through_detach(x: Tensor) -> Tensor:
    y = x * 3
    y.detach().mul_(2)
    return y + x


def out_into_active_alias(x: Tensor) -> Tensor:
    y = x * 3
    torch.mul(CONSTANT, 2, out=y.detach())
    return y


def as_the_output(x: Tensor) -> Tensor:
    y = x * 3
    y.detach().mul_(2)
    return y


def new_data(x: Tensor) -> Tensor:
    y = x * 2
    y.data = CONSTANT.clone()
    return y + x


HIDDEN = [
    *(under_no_grad, item_under_no_grad, view_under_no_grad, through_data, through_detach),
    *(out_into_active_alias, as_the_output, new_data),
]


@pytest.mark.parametrize("function", HIDDEN, ids=lambda function: function.__name__)
def test_hidden_writes_are_refused(function: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(RefusedOpError, match=r"write to a clone|changes or shares a tensor's"):
        linearize(one_row(function), torch.randn(1, 3, 4, dtype=torch.float64))


def real_part_set(x: Tensor) -> Tensor:
    z = torch.complex(x, x * 2)
    z.real = CONSTANT
    return torch.view_as_real(z).flatten(1)


def real_part_set_after_a_view(x: Tensor) -> Tensor:
    z = torch.complex(x, x * 2)
    row = z[0]
    z.real = CONSTANT
    return row.imag.unsqueeze(0) + row.real


@pytest.mark.parametrize("function", [real_part_set, real_part_set_after_a_view])
def test_a_write_that_no_op_announces_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(NotExactError, match=r"write it in torch ops \(`z.real.copy_"):
        linearize(one_row(function), torch.randn(1, 3, 4, dtype=torch.float64))


def detached_copy(x: Tensor) -> Tensor:
    y = (x * 3).detach()
    y += 1
    z = x.detach().clone().mul_(2)
    return y + z + x


def straight_through(x: Tensor) -> Tensor:
    return x + (torch.round(x) - x).detach()


def data_read(x: Tensor) -> Tensor:
    chosen = torch.max(x.data, 1).indices
    buffer = torch.empty_like(x)
    buffer.data.copy_(x.data)
    return x * chosen.unsqueeze(1) + buffer


def statistics_under_no_grad(x: Tensor) -> Tensor:
    with torch.no_grad():
        scale = torch.zeros(3, 1, dtype=x.dtype)
        scale[:, 0] = x.abs().amax(1)
        scale.clamp_(min=0.1)
    return x / scale


VISIBLE = [detached_copy, straight_through, data_read, statistics_under_no_grad]


@pytest.mark.parametrize("function", VISIBLE, ids=lambda function: function.__name__)
def test_what_is_held_on_purpose_is_exact(function: Callable[[Tensor], Tensor]) -> None:
    check_network(one_row(function), torch.randn(1, 3, 4, dtype=torch.float64))


def out_of_active(x: Tensor) -> Tensor:
    buffer = torch.empty(3, 4, dtype=x.dtype)
    torch.add(x, 1, out=buffer)
    product = torch.mul(x, buffer, out=torch.empty(0, dtype=x.dtype))
    return torch.cat([buffer, product], 1, out=torch.empty(3, 8, dtype=x.dtype))


def out_into_active(x: Tensor) -> Tensor:
    y = x * 2
    torch.floor(x, out=y)
    z = x * 3
    torch.mul(CONSTANT, 2, out=z)
    return y + z + x


def out_into_view(x: Tensor) -> Tensor:
    y = x * 2
    torch.exp(x[:, :2], out=y[:, 1:3])
    return y


def out_of_selection(x: Tensor) -> Tensor:
    values, indices = torch.empty(3, dtype=x.dtype), torch.empty(3, dtype=torch.long)
    torch.max(x, 1, out=(values, indices))
    above = torch.empty(3, 4, dtype=torch.bool)
    torch.gt(x, 0, out=above)
    return x * above * indices.unsqueeze(1) + values.unsqueeze(1)


OUTS = [out_of_active, out_into_active, out_into_view, out_of_selection]


@pytest.mark.parametrize("function", OUTS, ids=lambda function: function.__name__)
def test_out_is_written_to_exactly(function: Callable[[Tensor], Tensor]) -> None:
    assert_exact(one_row(function), torch.randn(1, 3, 4, dtype=torch.float64))


def test_out_carries_slopes() -> None:
    affine_map = linearize(one_row(out_of_active), torch.ones(1, 3, 4, dtype=torch.float64))
    weight, bias = affine_map.weight(), affine_map.bias()
    assert isinstance(weight, Tensor)
    assert torch.equal(weight[0, 1, 2, 1, 2], torch.tensor(1.0).double())
    assert torch.equal(weight[0, 1, 6, 1, 2], torch.tensor(1.5).double())  # ½(x+1) + ½x
    assert torch.equal(bias[0, 1, 2:7:4], torch.tensor([1.0, 0.5]).double())


def test_arguments_by_name() -> None:
    def forward(x: Tensor) -> Tensor:
        y = torch.relu(input=torch.add(input=x, other=1.0))
        return torch.cat(tensors=[y, torch.nn.functional.gelu(input=x)], dim=1)

    check_network(forward, torch.randn(3, 4, dtype=torch.float64))
