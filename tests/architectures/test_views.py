"""Views and writes in every combination that models use: where silent errors hide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.architectures.exactness import check_network, one_row

if TYPE_CHECKING:
    from collections.abc import Callable

CONSTANT = torch.linspace(-1.0, 2.0, 12, dtype=torch.float64).reshape(3, 4)


def chained_views(x: Tensor) -> Tensor:
    y = x * 2
    view = y[:, 1:]
    part = view[:, ::2]
    part.mul_(3)
    view.add_(CONSTANT[:, 1:])
    part.clamp_(-1, 2)
    return y + part.sum()


def base_then_view(x: Tensor) -> Tensor:
    y = x * 2
    view = y[:, 1:3]
    y.mul_(3)
    y.add_(CONSTANT)
    view.add_(1)
    y.sigmoid_()
    return torch.cat([view * 2, y], 1)


def two_views_of_one_base(x: Tensor) -> Tensor:
    y = x * 2
    view, turned = y[:, 1:3], y.t()
    y.add_(CONSTANT)
    turned.add_(0.5)
    view.mul_(CONSTANT[:, :2])
    return torch.cat([view, turned.t(), y], 1)


def diagonal_view(x: Tensor) -> Tensor:
    y = x.unsqueeze(1) * x.unsqueeze(2)
    y.diagonal(dim1=1, dim2=2).add_(1.0)
    y.diagonal(dim1=1, dim2=2).mul_(CONSTANT)
    return y.flatten(1)


def strided_view(x: Tensor) -> Tensor:
    y = x * 2
    y.as_strided((3, 2), (4, 2), 1).exp_()
    return y


def unfolded_view(x: Tensor) -> Tensor:
    y = x * 2
    windows = y.unfold(1, 2, 1)
    y.add_(1)
    return windows.flatten(1) * 1.5


def transposed_in_place(x: Tensor) -> Tensor:
    y = x * 2
    y.T[1] = 0.3
    y.mT.mul_(2)
    y.unsqueeze_(1).transpose_(1, 2)
    y.squeeze_(2).neg_()
    return y


def into_slices(x: Tensor) -> Tensor:
    buffer = torch.zeros(3, 8, dtype=x.dtype)
    buffer[:, ::2].copy_(x)
    buffer[:, 1::2] = x.relu()
    buffer[:, 3] += x[:, 0]
    return buffer


def view_of_a_constant_buffer(x: Tensor) -> Tensor:
    buffer = torch.ones(3, 8, dtype=x.dtype)
    view = buffer[:, 2:6]
    view += x
    view *= 2
    buffer += 1
    return buffer * view.sum(1, keepdim=True).sigmoid()


def view_taken_before_its_base_is_active(x: Tensor) -> Tensor:
    buffer = CONSTANT.clone()
    wide = buffer.view(2, 6)
    buffer[1] = x[1] * 3
    return wide * wide


def rows_of_a_constant(x: Tensor) -> Tensor:
    buffer = CONSTANT.clone()
    for row in range(3):
        buffer[row] = buffer[row] * 2 + x[row].tanh()
    return buffer


def by_mask(x: Tensor) -> Tensor:
    y = x * 2
    mask = x > 0
    y[mask] = y[mask] * 3 + 1
    y[~mask] = 0.5
    y[:, torch.tensor([True, False, False, True])] -= x[:, 1:3]
    return y


def by_indices(x: Tensor) -> Tensor:
    y = x * 2
    y[torch.tensor([0, 1, 2]), torch.tensor([1, 0, 3])] = x[:, 2].exp()
    y[..., None][:, torch.tensor([0, 2]), :] = 3.0
    y[:, [1, 3]] *= 2
    y[-1, ...] = x[0] * CONSTANT[0]
    y[torch.tensor(1)] += 1
    return y


def read_by_everything(x: Tensor) -> Tensor:
    y = x[:, None, ..., ::2][..., 0] * x[:, None, -1]
    z = x.flip(1)[:, ::3] + x[:, torch.tensor([3, 0])] + x[[0, 1, 2], [0, 1, 2]][:, None]
    return torch.cat([y, z, x[torch.tensor([[0, 2], [1, 1], [0, 0]]), 1], x[:, x[0] > 0]], 1)


def on_itself(x: Tensor) -> Tensor:
    x += x.tanh()
    x -= x.mean(1, keepdim=True)
    x += x
    x *= 0.5
    return x


def two_names(x: Tensor) -> Tensor:
    y = x * 2
    same = y
    same += 1
    return y * same


def swapped(x: Tensor) -> Tensor:
    a, b = x * 2, x * 3
    a, b = b, a
    a.add_(b)
    return a * b


def between_views(x: Tensor) -> Tensor:
    y = x * 2
    y[:, :2] = y[:, 2:]
    y[:, 2:].copy_(y[:, 1:3].clone())
    return y


def residual(x: Tensor) -> Tensor:
    y = x * 2
    z = F.relu(y + CONSTANT, inplace=True)
    z = F.dropout(z, 0.5, training=False, inplace=True)
    return F.relu(z + y, inplace=True).clone().add_(y)


def chunks(x: Tensor) -> Tensor:
    first, second = (x * 2).chunk(2, 1)
    gated = first.clone()
    gated.mul_(second.sigmoid())
    return torch.cat([gated, second], 1)


def fills(x: Tensor) -> Tensor:
    y = x * 2
    y[:, 0].fill_(0.1)
    y[0].zero_()
    y.fill_diagonal_(2.0)
    y.masked_fill_(y > 1.5, -1.0)
    return y


def lerps(x: Tensor) -> Tensor:
    y = x * 2
    y.lerp_(CONSTANT, 0.25)
    y.addcmul_(CONSTANT, x, value=0.5)
    return y.clamp_(min=-1.0)


def real_part(x: Tensor) -> Tensor:
    z = torch.complex(x, x * 2)
    z.real.add_(1)
    z.imag[:, :2].mul_(2)
    z.real[:, 1:].add_(CONSTANT[:, 1:])
    return torch.view_as_real(z).flatten(1)


def pairs_of_a_complex(x: Tensor) -> Tensor:
    z = torch.view_as_complex((x * 2).reshape(3, 2, 2))
    z += 1 + 2j
    torch.view_as_real(z)[..., 0].add_(CONSTANT[:, :2])
    return torch.view_as_real(z).flatten(1)


def complex_view_of_a_real(x: Tensor) -> Tensor:
    y = x * 2
    torch.view_as_complex(y.reshape(3, 2, 2))[:, 1].add_(3 - 1j)
    return y


def conjugate_view(x: Tensor) -> Tensor:
    z = torch.complex(x, x * 2)
    z.conj().add_(1 + 2j)
    z.conj().imag[:, 1:].add_(0.5)
    return torch.view_as_real(z).flatten(1)


FUNCTIONS = [
    *(chained_views, base_then_view, two_views_of_one_base, diagonal_view, strided_view),
    *(unfolded_view, transposed_in_place, into_slices, view_of_a_constant_buffer),
    *(view_taken_before_its_base_is_active, rows_of_a_constant, by_mask, by_indices),
    *(read_by_everything, on_itself, two_names, swapped, between_views, residual, chunks),
    *(fills, lerps, real_part, pairs_of_a_complex, complex_view_of_a_real, conjugate_view),
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_views_and_writes_are_exact(function: Callable[[Tensor], Tensor]) -> None:
    check_network(one_row(function), torch.randn(1, 3, 4, dtype=torch.float64))
