"""Broken rules, each of which a law must catch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ilin import DEFAULT_RULES, LawError, check_affine_map, check_rule, hold, linearize
from captum_ilin.errors import IlinError
from tests.rules import references as ref
from tests.rules.cases import CASES, Case
from tests.rules.test_cases import _tested

SILU = torch._C._nn.silu


def everything_into_bias(input: Tensor) -> Tensor:
    return hold(SILU, input) + 0 * input


def gate_not_held(input: Tensor) -> Tensor:
    return input * torch.sigmoid(input)


def detached_without_hold(input: Tensor) -> Tensor:
    return input.detach() * torch.sigmoid(input.detach()) + 0 * input


def wrong_intercept(input: Tensor) -> Tensor:
    return input * hold(torch.sigmoid, input) + 1e-6


def wrong_value(input: Tensor) -> Tensor:
    return input * hold(torch.tanh, input)


def half_slope(input: Tensor) -> Tensor:
    gate = hold(torch.sigmoid, input)
    return 0.5 * input * gate + hold(
        lambda: 0.5 * input.detach() * torch.sigmoid(input.detach())
    )


class _NotLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, gate: Tensor) -> Tensor:
        ctx.save_for_backward(gate)
        return input * gate

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> Any:
        (gate,) = ctx.saved_tensors
        return vector.detach() * gate, None


def backward_detached(input: Tensor) -> Tensor:
    return _NotLinear.apply(input, hold(torch.sigmoid, input))


def silu_reference(z: Tensor) -> tuple[Tensor, Tensor]:
    return torch.diag(1 / (1 + torch.exp(-z))), torch.zeros_like(z)


@pytest.mark.parametrize(
    ("rule", "law"),
    [
        (everything_into_bias, "reference"),
        (half_slope, "reference"),
        (gate_not_held, "affinity"),
        (detached_without_hold, "completeness"),
        (wrong_intercept, "value"),
        (wrong_value, "value"),
        (backward_detached, "adjointness"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_broken_rule_breaks_its_law(rule: Any, law: str) -> None:
    z = torch.randn(4, dtype=torch.float64)
    with pytest.raises(LawError, match=f"^{law}: "):
        check_rule(SILU, z, rules=DEFAULT_RULES | {SILU: rule}, reference=silu_reference(z))


def test_a_secant_without_the_zero_case_is_not_finite() -> None:
    def without_zero_case(input: Tensor) -> Tensor:
        return input * hold(lambda: SILU(input.detach()) / input.detach())

    with pytest.raises(IlinError, match="NaN or infinite"):
        check_rule(
            SILU, torch.zeros(2).double(), rules=DEFAULT_RULES | {SILU: without_zero_case}
        )


def test_a_map_whose_rows_mix_is_caught() -> None:
    def forward(x: Tensor) -> Tensor:
        return x - x.mean(0)

    with pytest.raises(LawError, match=r"^batch independence: row 0"):
        check_affine_map(linearize(forward, torch.randn(3, 2, dtype=torch.float64)))


MUTANTS = {
    F.gelu: lambda input, approximate="none": hold(F.gelu, input) + 0 * input,
    torch.tanh: lambda input: (
        input * hold(lambda: torch.tanh(input.detach()) / (input.detach() + 1e-10))
    ),
    F.layer_norm: lambda input, *rest: F.layer_norm(input, *rest),
    torch.mul: lambda input, other: (
        input * hold(other) if isinstance(other, Tensor) else input * other
    ),
    torch.matmul: lambda input, other: input @ hold(other),
    torch.softmax: lambda input, dim: hold(torch.softmax, input, dim) + 0 * input,
    torch.clamp: lambda input, low, high: hold(torch.clamp, input, low, high) + 0 * input,
    torch.div: lambda input, other, **_: input / other,
    torch.sub: lambda input, other: input + hold(lambda: -torch.as_tensor(other)) * 1.001,
    torch.sum: lambda input, *rest: hold(torch.sum, input, *rest) + 0 * input.sum(*rest),
}


@pytest.mark.parametrize("op", MUTANTS, ids=lambda op: op.__name__)
def test_the_case_table_catches_a_mutated_table(op: Any) -> None:
    mutated = DEFAULT_RULES | {op: MUTANTS[op]}
    caught = [_fails(op, case, mutated) for case in CASES if op in case.ops]
    assert any(caught)


def _fails(op: Any, case: Case, rules: Any) -> bool:
    args = case.args()
    tested = _tested(op, case)
    reference = case.reference(ref.Flat(tested, args, case.kwargs))
    try:
        check_rule(tested, *args, rules=rules, reference=reference, **case.kwargs)
    except (IlinError, RuntimeError, TypeError):
        return True
    return False
