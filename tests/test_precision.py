"""``in_double``: whatever a network casts to, the result is float64, and exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin import ForwardFunctionError, in_double, linearize

if TYPE_CHECKING:
    from collections.abc import Callable

SINGLE = torch.ones(3)
CASTS: dict[str, Callable[[Tensor], Tensor]] = {
    "to": lambda x: x.to(torch.float32),
    "to, by name": lambda x: x.to(dtype=torch.bfloat16),
    "to a device and a type": lambda x: x.to("cpu", torch.float16),
    "to another's type": lambda x: x.to(SINGLE),
    "to another's type, by name": lambda x: x.to(tensor=SINGLE),
    "type": lambda x: x.type(torch.float32),
    "type_as": lambda x: x.type_as(SINGLE),
    "float": lambda x: x.float(),
    "half": lambda x: x.half(),
    "bfloat16": lambda x: x.bfloat16(),
    "softmax": lambda x: F.softmax(x, dim=-1, dtype=torch.float32),
    "softmax, by position": lambda x: torch.softmax(x, -1, torch.float32),
    "sum": lambda x: x.sum(1, keepdim=True, dtype=torch.float32),
    "the default type": lambda x: x.to(torch.get_default_dtype()),
    "without autocast": lambda x: _without_autocast(x),
    "into a constant": lambda x: torch.zeros(x.shape).copy_(x),
    "into part of a constant": lambda x: _written(torch.full(x.shape, 0.5), x),
    "into a new constant": lambda x: torch.empty(x.shape, dtype=None).copy_(x),
    "times constants": lambda x: x @ torch.linspace(0, 1, 9).view(3, 3),
    "times a table": lambda x: x @ torch.tensor([[1.5], [2], [3]]),
    "times positions": lambda x: x @ torch.arange(0.0, 3.0)[:, None],
    "a fill value": lambda x: torch.where(x > 0, x, torch.full((), torch.finfo(x.dtype).min)),
}


def _without_autocast(x: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return x.float() * SINGLE


def _written(memory: Tensor, x: Tensor) -> Tensor:
    memory[:, 1:] = x[:, 1:].to(memory.dtype)
    return memory


@pytest.mark.parametrize("name", CASTS)
def test_casts_stay_double(name: str) -> None:
    x = torch.randn(2, 3, dtype=torch.float64)
    forward = in_double(CASTS[name])
    assert forward(x).dtype == torch.float64
    assert linearize(forward, x, strict=True).check().largest_error < 1e-14


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.arange(3),
        lambda: torch.full((2,), 1),
        lambda: torch.tensor([True, False]),
        lambda: torch.zeros(2, dtype=torch.int64),
        lambda: torch.as_tensor([1, 2]),
    ],
)
def test_other_types_are_left_alone(make: Callable[[], Tensor]) -> None:
    assert in_double(make)().dtype == make().dtype


def test_what_is_not_double_says_so() -> None:
    message = (
        r"returned torch.float32 inside in_double; expected float64.*Call model.double\(\)"
    )
    with pytest.raises(ForwardFunctionError, match=message):
        linearize(in_double(torch.nn.Linear(3, 2)), torch.randn(4, 3))


def test_nothing_is_left_behind() -> None:
    def broken() -> None:
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        in_double(broken)()
    assert torch.zeros(1).dtype == torch.float32
