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

from captum_ilin import DEFAULT_RULES, TANGENT_RULES, check_affine_map, linearize
from tests.fingerprint import untouched
from tests.random_networks import LAYERS, TABLE, WIDTH, Step, network

COUNT = os.environ.get("RANDOM_NETWORKS")
AS_DRAWN = settings(
    max_examples=int(COUNT or 150),
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


def _points(seed: int, in_halves: bool) -> Tensor:
    """Random inputs; rounded to halves they meet ties and zeros."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, WIDTH, generator=generator, dtype=torch.float64)
    return (2 * x).round() / 2 if in_halves else x


def check(steps: list[Step], x: Tensor) -> None:
    """Every law under both tables, the Jacobian, and nothing touched."""
    forward = network(steps)
    plain = x.clone().requires_grad_()
    value = network(steps, differentiable=True)(plain)
    jacobian = _jacobian(value, plain)
    assume(torch.isfinite(value).all() and torch.isfinite(jacobian).all())
    with untouched(forward, x):
        for table in (DEFAULT_RULES, TANGENT_RULES):
            affine_map = linearize(forward, x, rules=table, strict=True)
            check_affine_map(affine_map)
    weight = affine_map.weight()
    error = float((weight - jacobian).abs().max())
    assert error <= 1e-11 * float(jacobian.abs().max()), f"the Jacobian differs by {error:.1e}"


def _jacobian(value: Tensor, x: Tensor) -> Tensor:
    rows = [
        torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in value.unbind(1)
    ]
    return torch.stack(rows, 1)


@AS_DRAWN
@given(STEPS, st.integers(0, 2**16), st.booleans())
def test_random_networks_are_exact_and_affine(
    steps: list[Step], seed: int, in_halves: bool
) -> None:
    check(steps, _points(seed, in_halves))


@pytest.mark.parametrize("number", range(len(LAYERS)))
def test_every_layer_alone(number: int) -> None:
    check([Step(number, 0, 0), Step(number, 0, 1)], _points(1, False))
