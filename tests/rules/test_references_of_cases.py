"""Between two points: every case of the op table adds up, or its op is left for a reason."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from captum_ilin import REFERENCE_RULES, Kind, linearize
from captum_ilin.arguments import mapped, substituted, tensors
from captum_ilin.rule import op_name
from tests.rules import references as ref
from tests.rules import test_cases
from tests.rules.cases import CASES, Case

PAIRS = [
    pytest.param(op, case, id=f"{op_name(op)}-{number}")
    for number, case in enumerate(CASES)
    for op in case.ops
]


LEFT = {rule.name for rule in REFERENCE_RULES.values() if rule.kind is Kind.UNREGISTERED}


@pytest.mark.parametrize(("op", "case"), PAIRS)
def test_differences_add_up(op: Any, case: Case) -> None:
    rule, args = REFERENCE_RULES[op], case.args()
    if rule.kind is Kind.UNREGISTERED and rule.alone is None:
        pytest.skip(rule.reason)
    if case.reference is ref.constant:
        pytest.skip("what is constant at either point differs between them, and is reported")
    flat = tensors((args, case.kwargs))
    places = [place for place, value in enumerate(flat) if value.requires_grad]
    here = [flat[place].detach() for place in places]
    redrawn = tensors((case.args(), case.kwargs))
    there = [redrawn[place].detach() for place in places]
    sizes = [value.numel() for value in here]
    tested = test_cases._tested(op, case)

    def forward(point: Tensor) -> Tensor:
        parts = [
            part.reshape(value.shape)
            for part, value in zip(point[0].split(sizes), here, strict=True)
        ]
        full_args, full_kwargs = substituted(
            mapped((args, case.kwargs), Tensor.detach), places, parts
        )
        results = [
            torch.view_as_real(value.resolve_conj()) if value.is_complex() else value
            for value in tensors(tested(*full_args, **full_kwargs))
            if value.is_floating_point() or value.is_complex()
        ]
        return torch.cat([value.reshape(-1) for value in results])[None]

    x, baseline = (torch.cat([v.reshape(-1) for v in end])[None] for end in (here, there))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        affine_map, change = (
            linearize(forward, x, baselines=baseline),
            forward(x) - forward(baseline),
        )
    unregistered = affine_map.freezing.reports.unregistered
    if unregistered and {site.op for site in unregistered} <= LEFT:
        pytest.skip(f"{rule.name} is, or is made of, what is left")
    assert not unregistered
    explained = affine_map.weight()[0] @ (x - baseline)[0]
    scale = (affine_map.weight()[0].abs() @ (x - baseline)[0].abs()).max() + change.abs().max()
    assert (explained - change[0]).abs().max() <= 1e-12 * scale
    for point in (x, baseline):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated spellings
            expected = forward(point)
        torch.testing.assert_close(affine_map(point), expected, rtol=1e-11, atol=1e-11)
