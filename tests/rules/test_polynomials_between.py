"""Products of many factors, inverses, scatters and functions of several arguments, between
two points: against definitions by hand."""

from __future__ import annotations

from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from captum_ilin import REFERENCE_RULES, Kind, linearize
from captum_ilin.rules.between import along
from captum_ilin.rules.references import _LEFT
from captum_ilin.rules.together import together

if TYPE_CHECKING:
    from collections.abc import Callable

SUM_CLOSES = {torch.float64: 1e-12, torch.float32: 1e-5}


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def slopes(function: Callable[[Tensor], Tensor], x: Tensor, baseline: Tensor) -> Tensor:
    """D of a function of one example, (outputs, features); nothing may be reported."""
    affine_map = linearize(
        lambda batch: function(batch[0])[None], x[None], baselines=baseline[None]
    )
    assert not affine_map.freezing.reports.unregistered
    weight = affine_map.weight()
    assert isinstance(weight, Tensor)
    return weight[0].reshape(-1, x.numel())


def shapley(function: Callable[[Tensor], Tensor], x: Tensor, baseline: Tensor) -> Tensor:
    """What each element's change adds, averaged over all orders; then over the change."""
    flat, count = x.reshape(-1), x.numel()
    total = torch.zeros(function(x).numel(), count, dtype=x.dtype)
    orders = list(permutations(range(count)))
    for order in orders:
        point = baseline.reshape(-1).clone()
        for element in order:
            before = function(point.reshape(x.shape)).reshape(-1)
            point[element] = flat[element]
            total[:, element] += function(point.reshape(x.shape)).reshape(-1) - before
    return total / len(orders) / (flat - baseline.reshape(-1))


BY_SHAPLEY: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...], float]] = {
    "prod": (lambda z: z.prod(), (5,), 0.0),
    "prod of rows": (lambda z: z.prod(1), (2, 3), 0.0),
    "cumprod": (lambda z: z.cumprod(0), (4,), 0.0),
    "einsum": (lambda z: torch.einsum("i,i,i->i", z[0], z[1], z[2]), (3, 2), 0.0),
    "pow": (lambda z: torch.pow(z[0], z[1]), (2, 3), 3.0),
    "constant pow": (lambda z: torch.pow(2.0, z), (3,), 0.0),
    "atan2": (lambda z: torch.atan2(z[0], z[1]), (2, 3), 3.0),
    "xlogy": (lambda z: torch.xlogy(z[0], z[1]), (2, 3), 3.0),
    "fmod": (lambda z: torch.fmod(z[0], z[1]), (2, 3), 5.0),
    "ldexp": (lambda z: torch.ldexp(z[0], z[1]), (2, 3), 0.0),
    "copysign": (lambda z: torch.copysign(z[0], z[1]), (2, 3), 0.0),
    "broadcast": (lambda z: torch.atan2(z[:1], z), (3,), 3.0),
}


@pytest.mark.parametrize("name", [name for name in BY_SHAPLEY if name != "broadcast"])
def test_shares_are_shapleys(name: str) -> None:
    function, shape, shift = BY_SHAPLEY[name]
    x, baseline = double(*shape).abs() + shift, double(*shape).abs() + shift
    torch.testing.assert_close(
        slopes(function, x, baseline), shapley(function, x, baseline), rtol=1e-9, atol=1e-9
    )


LARGE: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    **{name: (function, shape) for name, (function, shape, _) in BY_SHAPLEY.items()},
    "prod of many": (lambda z: (1 + 0.1 * z).prod(), (100,)),
    "prod of many rows": (lambda z: (1 + 0.1 * z).prod(0, keepdim=True), (70, 2)),
    "cumprod of many": (lambda z: (1 + 0.1 * z).cumprod(1), (2, 50)),
    "det": (torch.linalg.det, (4, 4)),
    "slogdet": (lambda z: torch.linalg.slogdet(z + 9 * torch.eye(4))[1], (4, 4)),
    "logdet": (lambda z: torch.logdet(z + 9 * torch.eye(4)), (4, 4)),
    "matrix power": (lambda z: torch.linalg.matrix_power(z, 5), (3, 3)),
    "large matrix power": (lambda z: torch.linalg.matrix_power(z / 4, 37), (3, 3)),
    "negative matrix power": (
        lambda z: torch.linalg.matrix_power(z + 9 * torch.eye(3), -3),
        (3, 3),
    ),
    "multi_dot": (lambda z: torch.linalg.multi_dot([z, z.T, z, z.T]), (3, 2)),
    "inverse": (lambda z: torch.linalg.inv(z + 9 * torch.eye(3)), (2, 3, 3)),
    "inverse of others": (lambda z: torch.linalg.inv_ex(z + 9 * torch.eye(3))[0], (3, 3)),
    "solve": (lambda z: torch.linalg.solve(z[:3] + 9 * torch.eye(3), z[3:].T), (5, 3)),
    "solve a vector": (lambda z: torch.linalg.solve(z[:3] + 9 * torch.eye(3), z[3]), (4, 3)),
    "solve from the right": (
        lambda z: torch.linalg.solve(z[:3] + 9 * torch.eye(3), z[3:], left=False),
        (5, 3),
    ),
    "triangular": (
        lambda z: torch.linalg.solve_triangular(z[:3] + 5 * torch.eye(3), z[3:].T, upper=True),
        (5, 3),
    ),
    "unitriangular": (
        lambda z: torch.linalg.solve_triangular(
            z[:3], z[3:], upper=False, left=False, unitriangular=True
        ),
        (5, 3),
    ),
    "cholesky_solve": (
        lambda z: torch.cholesky_solve(z[3:].T, z[:3].tril() + 5 * torch.eye(3)),
        (5, 3),
    ),
    "bilinear": (
        lambda z: torch.nn.functional.bilinear(z[0], z[1], z.reshape(1, 2, 2), z[:1, 0]),
        (2, 2),
    ),
    "complex abs": (lambda z: torch.complex(z[0], z[1]).abs(), (2, 4)),
    "angle": (lambda z: torch.complex(z[0], z[1]).angle(), (2, 4)),
    "real angle": (torch.angle, (5,)),
    "complex exp": (lambda z: torch.view_as_real(torch.complex(z[0], z[1]).exp()), (2, 4)),
    "complex product": (
        lambda z: torch.view_as_real(torch.complex(z[0], z[1]) * torch.complex(z[1], z[0])),
        (2, 4),
    ),
    "polar": (lambda z: torch.view_as_real(torch.polar(z[0].abs(), z[1])), (2, 4)),
    "rotation": (lambda z: torch.rot90(z).tanh(), (2, 3)),
    "frexp": (lambda z: torch.frexp(z).mantissa, (6,)),
    "divided in place": (lambda z: (z[0] * 1).div_(z[1].exp()), (2, 3)),
    "quotient added": (lambda z: torch.addcdiv(z[0], z[1], z[2].exp(), value=0.3), (3, 3)),
    "divided by an integer": (lambda z: z.tanh() / torch.tensor(3), (3,)),
    "prelu": (lambda z: torch.nn.functional.prelu(z[None, :2], z[2]), (3, 2)),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("dtype", SUM_CLOSES)
def test_the_sum_closes(name: str, dtype: torch.dtype) -> None:
    function, shape = LARGE[name]
    x, baseline = double(*shape).to(dtype), double(*shape).to(dtype)
    if name in BY_SHAPLEY:
        x, baseline = x.abs() + BY_SHAPLEY[name][2], baseline.abs() + BY_SHAPLEY[name][2]
    D = slopes(function, x, baseline)
    step = (x - baseline).reshape(-1)
    change = (function(x) - function(baseline)).reshape(-1)
    scale = (
        (D.abs() @ step.abs()).max() + function(x).abs().max() + function(baseline).abs().max()
    )
    assert (D @ step - change).abs().max() <= SUM_CLOSES[dtype] * scale


@pytest.mark.parametrize("name", [name for name in LARGE if name != "real angle"])
def test_equal_points_give_the_jacobian(name: str) -> None:
    function, shape = LARGE[name]
    x = double(*shape)
    if name in BY_SHAPLEY:
        x = x.abs() + BY_SHAPLEY[name][2]
    J = torch.autograd.functional.jacobian(function, x)
    torch.testing.assert_close(
        slopes(function, x, x.clone()), J.reshape(-1, x.numel()), rtol=1e-8, atol=1e-8
    )


def test_an_inverse_by_hand() -> None:
    """−½ (A⁻¹ T A'⁻¹ + A'⁻¹ T A⁻¹) for each unit step T."""
    A, other = double(3, 3) + 5 * torch.eye(3), double(3, 3) + 5 * torch.eye(3)
    Y, Z = torch.linalg.inv(A), torch.linalg.inv(other)
    columns = []
    for row, column in product(range(3), repeat=2):
        T = torch.zeros(3, 3).double()
        T[row, column] = 1
        columns.append(-(Y @ T @ Z + Z @ T @ Y).reshape(-1) / 2)
    torch.testing.assert_close(slopes(torch.linalg.inv, A, other), torch.stack(columns, 1))


INDEX = torch.tensor([0, 1, 1, 0, 1])


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["amax", "amin", "sum", "mean", "prod"])
def test_groups(reduce: str, include_self: bool) -> None:
    def function(z: Tensor) -> Tensor:
        return z[:3].scatter_reduce(0, INDEX, z[3:], reduce, include_self=include_self)

    x, baseline = double(8), double(8)
    D = slopes(function, x, baseline)
    change = function(x) - function(baseline)
    torch.testing.assert_close(D @ (x - baseline), change, rtol=1e-12, atol=1e-13)
    if reduce in ("amax", "amin"):
        assert (D >= 0).all()
        torch.testing.assert_close(D.sum(1), torch.ones(3).double())
        for group in range(3):
            best = torch.argmax if reduce == "amax" else torch.argmin
            members = [3 + i for i in range(5) if INDEX[i] == group]
            if include_self or not members:
                members = [group, *members]
            chosen = {members[int(best(z[members]))] for z in (x, baseline)}
            assert set(D[group].nonzero()[:, 0].tolist()) <= chosen


def test_equally_large_values_share() -> None:
    def function(z: Tensor) -> Tensor:
        return (
            torch.zeros(1).double().scatter_reduce(0, INDEX * 0, z, "amax", include_self=False)
        )

    x = torch.tensor([2.0, 2.0, 1.0, 0.0, -1.0]).double()
    expected = torch.tensor([[0.5, 0.5, 0.0, 0.0, 0.0]]).double()
    torch.testing.assert_close(slopes(function, x, x.clone()), expected)


# that the laws can fail


@pytest.mark.parametrize("degree", [2, 4])
def test_too_low_a_degree_leaves_a_remainder(degree: int) -> None:
    """Two nodes are exact for four factors, and one is not."""
    rules = REFERENCE_RULES | {torch.sinc: lambda z: along(lambda z: z**4, z, degree=degree)}
    x, baseline = double(1, 3), double(1, 3)
    weight: Any = linearize(torch.sinc, x, baselines=baseline, rules=rules).weight()
    error = ((weight[0] @ (x - baseline)[0]) - (x**4 - baseline**4)[0]).abs().max()
    assert error <= 1e-12 if degree == 4 else error > 1e-4


def test_a_slope_at_one_end_is_not_shapleys() -> None:
    x, baseline = double(2, 3).abs() + 3, double(2, 3).abs() + 3
    function = BY_SHAPLEY["pow"][0]
    J = torch.autograd.functional.jacobian(function, x).reshape(3, -1)
    assert (J - shapley(function, x, baseline)).abs().max() > 1e-3


def test_one_argument_together_is_a_chord() -> None:
    rules = REFERENCE_RULES | {torch.sinc: lambda z: together(torch.exp, z)}
    x, baseline = double(1, 3), double(1, 3)
    weight: Any = linearize(torch.sinc, x, baselines=baseline, rules=rules).weight()
    chord = (x.exp() - baseline.exp()) / (x - baseline)
    torch.testing.assert_close(weight[0], torch.diag(chord[0]))


# the surface


def test_what_is_left_has_a_reason() -> None:
    without = [
        rule.name
        for rule in REFERENCE_RULES.values()
        if rule.kind is Kind.UNREGISTERED and rule.reason in ("", _LEFT)
    ]
    assert not without


def test_constants_written_in_place_are_reported_where_they_differ() -> None:
    def function(z: Tensor) -> Tensor:
        return (2 * z).round_() + z

    x = torch.tensor([[0.2, 3.4]]).double()
    with pytest.warns(UserWarning, match="copy_"):
        linearize(function, x, baselines=-x)
    close = linearize(function, x, baselines=x + 0.01)
    assert not close.freezing.reports.unregistered
