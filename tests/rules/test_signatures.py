"""A rule takes what its op takes: every argument, by the op's own name for it."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from captum_ilin import DEFAULT_RULES, Kind, linearize
from captum_ilin.rule import op_name

# Of overloads for numbers, or without a derivative: nobody passes an active value there.
LEFT_OUT = {"self", "out", "generator", "b", "i", "l", "n", "out_dtype", "reduce"}
KINDS = (Kind.RULE, Kind.DECOMPOSITION)
NATIVE = [
    op
    for op, rule in DEFAULT_RULES.items()
    if rule.kind in KINDS and not inspect.isfunction(op)
]


def _names(op: Any) -> set[str]:
    """The argument names of all overloads of a native op; of an overload, its own."""
    packet = getattr(torch.ops.aten, op_name(op).strip("_"), None)
    overloads = [] if packet is None else [getattr(packet, o) for o in packet.overloads()]
    overloads = [op] if isinstance(op, torch._ops.OpOverload) else overloads
    return {a.name for overload in overloads for a in overload._schema.arguments[1:]}


def _accepts(op: Any, name: str) -> bool:
    """By its name, or because the rule takes any; recurrent ops are called by position."""
    parameters = inspect.signature(DEFAULT_RULES[op].function).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    only_positions = kinds == {inspect.Parameter.VAR_POSITIONAL}
    return name in parameters or inspect.Parameter.VAR_KEYWORD in kinds or only_positions


def test_native_ops_are_found() -> None:
    assert sum(bool(_names(op)) for op in NATIVE) > 400


def test_rules_take_the_names_of_their_op() -> None:
    refused = {
        f"{op_name(op)}({name}=)"
        for op in NATIVE
        for name in _names(op) - LEFT_OUT
        if not _accepts(op, name)
    }
    assert not refused


MATRIX, VECTOR = torch.randn(3, 3).double(), torch.randn(3).double()
CALLS = {
    "addmm": lambda x: MATRIX.addmm(mat1=x, mat2=MATRIX),
    "baddbmm": lambda x: MATRIX[None].baddbmm(batch1=x[None], batch2=MATRIX[None], beta=2)[0],
    "baddbmm, half by name": lambda x: torch.baddbmm(
        MATRIX[None], x[None], batch2=MATRIX[None]
    )[0],
    "addbmm": lambda x: torch.addbmm(MATRIX, batch1=x[None], batch2=MATRIX[None]),
    "addmv": lambda x: torch.addmv(VECTOR, mat=x, vec=VECTOR),
    "addr": lambda x: torch.addr(MATRIX, vec1=x[0], vec2=VECTOR),
    "convolution": lambda x: torch.convolution(
        x[None],
        MATRIX[:, :, None],
        None,
        stride=[1],
        padding=[0],
        dilation=[1],
        transposed=False,
        output_padding=[0],
        groups=1,
    )[0],
    "grid_sampler": lambda x: torch.grid_sampler(
        x[None, None],
        MATRIX.tanh()[None, :, :2].unsqueeze(1),
        interpolation_mode=0,
        padding_mode=0,
        align_corners=True,
    ).flatten(1),
    "dropout": lambda x: torch.dropout(x, p=0.5, train=False),
}


@pytest.mark.parametrize("name", CALLS)
def test_arguments_by_name(name: str) -> None:
    """One row's map is the Jacobian of the call, which is affine."""
    x = torch.randn(3, 3).double()

    def forward(rows: Tensor) -> Tensor:
        return torch.stack([CALLS[name](row.view(3, 3)).flatten() for row in rows])

    affine_map = linearize(forward, x.view(1, 9), strict=True)
    affine_map.check()
    jacobian = torch.autograd.functional.jacobian(forward, x.view(1, 9))
    assert torch.allclose(affine_map.weight(), jacobian.movedim(2, 1))
