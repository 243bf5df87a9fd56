"""Random networks from the op table: every one is exact and affine.

RANDOM_NETWORKS=5000 in the environment draws that many anew instead of the fixed few.
"""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from captum_ilin import (
    ATTNLRP_RULES,
    DEFAULT_RULES,
    SPLIT_RULES,
    TANGENT_RULES,
    check_affine_map,
    linearize,
)
from tests.fingerprint import untouched
from tests.random_networks import LAYERS, TABLE, WIDTH, Step, network

COUNT = os.environ.get("RANDOM_NETWORKS")
AS_DRAWN = settings(
    max_examples=int(COUNT or 200),
    derandomize=COUNT is None,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
MOVE = st.integers(0, len(LAYERS) - 1) | st.integers(len(LAYERS), len(LAYERS) + len(TABLE) - 1)
STEP = st.builds(Step, MOVE, st.integers(0, 12), st.integers(0, 12), st.booleans())
STEPS = st.lists(STEP, min_size=1, max_size=12)
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*deprecated"),  # of ops that are old but still called
    pytest.mark.filterwarnings("ignore:.*in beta"),
    pytest.mark.filterwarnings("ignore:torch.asarray"),
]


# Where PyTorch's own derivative is no reference.
UNDERIVED = {
    "hardsigmoid": "its 1/6 is rounded to float32",
    "hardsigmoid_": "its 1/6 is rounded to float32",
    "polar": "wrong for a negative modulus",
    "nextafter_": "a write that autograd does not see",
    **dict.fromkeys(
        (
            *("native_channel_shuffle", "__rmod__", "heaviside_", "floor_divide_"),
            *("__ifloordiv__", "scatter", "scatter_"),
        ),
        "not implemented",
    ),
}


def _points(seed: int, in_halves: bool) -> Tensor:
    """Two random rows; or one rounded to halves, which meets ties and zeros.

    One row, for rounding breaks ties one way in a batch and another way alone.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, WIDTH, generator=generator, dtype=torch.float64)
    return (2 * x[:1]).round() / 2 if in_halves else x


def check(steps: list[Step], x: Tensor) -> None:
    """Every law under all tables, the Jacobian, and nothing touched."""
    forward = network(steps)
    assume(torch.isfinite(forward(x)).all())
    jacobian = None
    if not any(step.name in UNDERIVED for step in steps):
        jacobian = _jacobian(steps, x)
        assume(torch.isfinite(jacobian).all())
        assume(len(x) == 1 or _is_within_a_region(steps, x, jacobian))
    with untouched(forward, x):
        for table in (DEFAULT_RULES, ATTNLRP_RULES, SPLIT_RULES, TANGENT_RULES):
            affine_map = linearize(forward, x, rules=table, strict=True)
            check_affine_map(affine_map)
    if jacobian is not None:
        error = float((affine_map.weight() - jacobian).abs().max())
        size = float(jacobian.abs().max())
        assert error <= 1e-11 * size, f"the Jacobian of {size:.1e} differs by {error:.1e}"


def _jacobian(steps: list[Step], x: Tensor) -> Tensor:
    """PyTorch's own, (batch, outputs, features)."""
    x = x.clone().requires_grad_()
    outputs = network(steps, differentiable=True)(x).unbind(1)
    rows = [torch.autograd.grad(y.sum(), x, retain_graph=True)[0] for y in outputs]
    return torch.stack(rows, 1)


def _is_within_a_region(steps: list[Step], x: Tensor, jacobian: Tensor) -> bool:
    """Whether the Jacobian a little further is almost the same: x is at no kink."""
    further = _jacobian(steps, x + 1e-9 * torch.ones_like(x))
    return bool((further - jacobian).abs().max() <= 1e-4 * jacobian.abs().max())


@AS_DRAWN
@given(STEPS, st.integers(0, 2**16), st.booleans())
def test_random_networks_are_exact_and_affine(
    steps: list[Step], seed: int, in_halves: bool
) -> None:
    check(steps, _points(seed, in_halves))


@pytest.mark.parametrize("number", range(len(LAYERS)))
def test_every_layer_alone(number: int) -> None:
    check([Step(number, 0, 0), Step(number, 0, 1)], _points(1, False))
