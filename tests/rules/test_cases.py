"""Every op of the tables, at every case, against every law and its reference."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from captum_ilin import DEFAULT_RULES, TANGENT_RULES, Kind, check_rule, linearize
from captum_ilin.rule import op_name
from captum_ilin.rules.spellings import writings
from tests.rules import (
    cases_algebra,
    cases_exported,
    cases_kernels,
    cases_layers,
    cases_pointwise,
    cases_products,
    cases_selection,
    cases_special,
    cases_spectral,
    cases_structural,
    cases_surface,
)
from tests.rules import references as ref
from tests.rules.cases import CASES, Case

DRAWS = ("normal", "uniform", "random", "exponential", "geometric", "cauchy", "log_normal")
DRAWS += ("bernoulli",)
FAMILIES = (
    *(cases_kernels, cases_algebra, cases_exported, cases_layers, cases_pointwise),
    *(cases_products, cases_selection, cases_special, cases_spectral, cases_structural),
    cases_surface,
)
COVERED = (Kind.RULE, Kind.LINEAR, Kind.AFFINE, Kind.DECOMPOSITION)
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*deprecated"),  # of ops that are old but still called
    pytest.mark.filterwarnings("ignore:.*in beta"),
    pytest.mark.filterwarnings("ignore:torch.asarray"),  # its requires_grad in future versions
]
PAIRS = [
    pytest.param(op, case, id=f"{op_name(op)}-{number}")
    for number, case in enumerate(CASES)
    for op in case.ops
]


def test_every_identity_has_a_case() -> None:
    wanted = {op for op, rule in DEFAULT_RULES.items() if rule.kind in COVERED}
    covered = {op for case in CASES for op in case.ops} | set(TESTED_ELSEWHERE)
    missing = sorted(str(op) for op in wanted - covered)
    assert not missing
    stale = sorted(str(op) for op in covered - set(DEFAULT_RULES))
    assert not stale


TESTED_ELSEWHERE = {
    torch.nn.functional.multi_head_attention_forward: "tests/test_freezing.py, in modules",
    Tensor.__setitem__: "test_writes.py",
    **dict.fromkeys(
        (
            *(torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu, torch.lstm_cell),
            *(torch.gru_cell, torch.rnn_tanh_cell, torch.rnn_relu_cell),
            *(torch._VF._pack_padded_sequence, torch._VF._pad_packed_sequence),
        ),
        "test_recurrent.py",
    ),
    Tensor.__iter__: "test_writes.py",
    Tensor.register_hook: "surroundings/test_functions.py",
    Tensor.detach_: "leaves nothing active",
    torch.detach_: "leaves nothing active",
    Tensor.float: "changes the precision that the laws are measured in",
    Tensor.half: "changes the precision",
    Tensor.bfloat16: "changes the precision",
    Tensor.chalf: "changes the precision",
    torch._VF._cast_Float: "changes the precision",
    torch._VF._cast_Half: "changes the precision",
    **dict.fromkeys(
        (Tensor._autocast_to_full_precision, Tensor._autocast_to_reduced_precision),
        "change the precision",
    ),
    **dict.fromkeys(
        (
            Tensor.cuda,
            Tensor.xpu,
            Tensor.ipu,
            Tensor.mtia,
            Tensor.pin_memory,
            torch._VF._pin_memory,
        ),
        "needs an accelerator",
    ),
    **dict.fromkeys(
        writings("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "gcd", "lcm")
        + writings("bitwise_left_shift", "bitwise_right_shift"),
        "of integers, which are never active",
    ),
    **dict.fromkeys(writings(*DRAWS), "test_random_ops.py"),
    torch._VF._grouped_mm: "test_grouped_mm.py, for it has no float64",
    torch.nn.functional.gumbel_softmax: "test_random_ops.py",
    torch.nn.functional.upsample: "deprecated spelling of interpolate",
    torch.nn.functional.upsample_nearest: "deprecated spelling of interpolate",
    torch.nn.functional.upsample_bilinear: "deprecated spelling of interpolate",
}


SAME_IN_BOTH = (ref.piece, ref.affine, ref.constant)


@pytest.mark.parametrize(("op", "case"), PAIRS)
def test_default_rules(op: Any, case: Case) -> None:
    args = case.args()
    tested = _tested(op, case)
    reference = case.reference(ref.Flat(_defined(op, case, case.reference), args, case.kwargs))
    check_rule(tested, *args, reference=reference, **case.kwargs)


@pytest.mark.parametrize(("op", "case"), PAIRS)
def test_tangent_rules(op: Any, case: Case) -> None:
    args = case.args()
    tested = _tested(op, case)
    reference = case.reference if case.reference in SAME_IN_BOTH else ref.tangent
    expected = reference(ref.Flat(_defined(op, case, reference), args, case.kwargs))
    check_rule(tested, *args, reference=expected, rules=TANGENT_RULES, **case.kwargs)


def _defined(op: Any, case: Case, reference: Any) -> Any:
    """What a reference differentiates: writing ops may have no derivative of their own."""
    if reference is ref.constant:
        return _tested(op, case)
    return _lifted(DEFAULT_RULES[op].plain or op, case)


def _tested(op: Any, case: Case) -> Any:
    """In-place ops write to a copy here; a constant first argument would be overwritten."""

    def on_copy(input: Tensor, *rest: Any, **kwargs: Any) -> Any:
        return op(input.clone(), *rest, **kwargs)

    return _lifted(on_copy if DEFAULT_RULES[op].inplace else op, case)


def _lifted(op: Any, case: Case) -> Any:
    return op if case.lift is None else case.lift(op)


CONSTANTS = [op for op, rule in DEFAULT_RULES.items() if rule.kind is Kind.CONSTANT]
UNARY = [
    op
    for op in CONSTANTS
    if op_name(op)
    in {
        *("detach", "item", "isnan", "isinf", "isfinite", "isposinf", "isneginf"),
        *("argmax", "argmin", "argsort", "nonzero", "floor", "ceil", "round", "trunc", "sign"),
        *("sgn", "signbit", "zeros_like", "ones_like", "all", "any", "count_nonzero"),
        *("data", "tolist", "logical_not", "argwhere", "unique", "fix", "int", "long"),
    }
]


@pytest.mark.parametrize("op", UNARY, ids=op_name)
def test_constant_ops_keep_their_value_and_have_no_slope(op: Any) -> None:
    x = torch.tensor([[1.7]] if op_name(op) == "item" else [[1.7, -0.4, 2.2]]).double()
    plain = op(x)

    def forward(x: Tensor) -> Tensor:
        result = op(x)
        if isinstance(result, Tensor):
            assert not result.requires_grad
            assert torch.equal(result, plain)
        else:
            assert result == plain
        return x * 2

    weight = linearize(forward, x).weight()
    assert isinstance(weight, Tensor)


def test_metadata_is_read_without_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        def forward(x: Tensor) -> Tensor:
            rows, columns = x.shape
            assert (x.dim(), x.size(0), len(x), x.numel()) == (2, rows, rows, rows * columns)
            assert x.dtype == torch.float64
            assert x.is_floating_point()
            assert x.requires_grad
            return x.reshape(rows, -1)

        assert linearize(forward, torch.randn(2, 3).double()).check().value_error == 0.0


def test_families_hold_cases() -> None:
    assert len(CASES) > 20 * len(FAMILIES)
