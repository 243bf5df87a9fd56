"""Selections and masks between two points: Δy = D Δz with another element chosen at x'."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from captum_ilin import REFERENCE_RULES, counterpart, hold, linearize
from captum_ilin.baselinerun import BaselineRun
from captum_ilin.errors import UnregisteredOpError, UnregisteredOpWarning
from captum_ilin.linearization import Comparison, between
from captum_ilin.rules.references.ordering import partners_of
from captum_ilin.rules.selecting import ahead
from captum_ilin.slope import sloped
from tests.rules.choices import ALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin.slope import Slope

CLOSES = 1e-12


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.fixture(params=ALL)
def function(request: pytest.FixtureRequest) -> Callable[[Tensor], Tensor]:
    torch.manual_seed(3)
    made = ALL[request.param]
    return lambda x: made(x * 1.5)


def points(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """With the same number of positive and negative values in each row."""
    magnitudes = torch.rand(2, 2, 24, dtype=torch.float64) + 0.05
    signs = torch.stack(
        [torch.stack([torch.tensor([1.0, -1.0] * 12)[torch.randperm(24)] for _ in range(2)])]
        * 2
    )
    signs[1] = signs[1].roll(1, 1)
    x, baseline = (magnitudes * signs).to(dtype)
    return x, baseline


def owed(W: Tensor, step: Tensor) -> Tensor:
    return torch.einsum("rof,rf->ro", W.reshape(2, -1, 24), step)


def test_the_difference_is_what_the_features_owe(function: Any) -> None:
    x, baseline = points()
    affine_map = linearize(function, x, baselines=baseline)
    W, change = affine_map.weight(), function(x) - function(baseline)
    error = owed(W, x - baseline) - change.reshape(2, -1)
    assert error.abs().max() <= CLOSES * change.abs().max()
    assert not affine_map.freezing.reports.unregistered


def test_the_map_passes_through_both_points(function: Any) -> None:
    """With b from the ledger, which knows nothing of F."""
    x, baseline = points()
    affine_map = linearize(function, x, baselines=baseline)
    for point in (x, baseline):
        torch.testing.assert_close(affine_map(point), function(point), rtol=1e-11, atol=1e-11)


def test_single_precision(function: Any) -> None:
    x, baseline = points(torch.float32)
    affine_map = linearize(lambda x: function(x).float(), x, baselines=baseline)
    W, change = affine_map.weight(), function(x) - function(baseline)
    assert (
        owed(W, x - baseline) - change.reshape(2, -1)
    ).abs().max() <= 1e-5 * change.abs().max()


@pytest.mark.filterwarnings("ignore:.*differentiable:UserWarning")
def test_equal_points_give_the_tangent(function: Any) -> None:
    x, _ = points()
    affine_map = linearize(function, x, baselines=x)
    J = torch.autograd.functional.jacobian(lambda x: function(x).reshape(2, -1), x)
    expected = torch.stack([J[row, :, row] for row in range(2)])
    W = affine_map.weight().reshape(2, -1, 24)
    torch.testing.assert_close(W, expected, rtol=1e-9, atol=1e-9)
    assert not affine_map.freezing.reports.unregistered


def test_without_a_ledger_the_slope_is_the_same(function: Any) -> None:
    x, baseline = points()
    compare = partial(Comparison.at, (baseline,), function, (), None, strict=True)
    z = x.clone().requires_grad_()
    y = between(function, compare)(z)
    torch.testing.assert_close(y, function(x), rtol=1e-14, atol=1e-15)  # a/b is a · (1/b)
    u = torch.randn_like(y).requires_grad_()
    (pulled,) = torch.autograd.grad(y, z, u, create_graph=True)
    W = linearize(function, x, baselines=baseline).weight().reshape(2, -1, 24)
    expected = torch.einsum("rof,ro->rf", W, u.reshape(2, -1))
    torch.testing.assert_close(pulled, expected, rtol=1e-11, atol=1e-11)
    t = torch.randn_like(x)
    (pushed,) = torch.autograd.grad(pulled, u, t)
    moved = torch.einsum("rof,rf->ro", W, t).reshape(y.shape)
    torch.testing.assert_close(pushed, moved, rtol=1e-11, atol=1e-11)


def test_other_slopes_do_not_close() -> None:
    """The law above fails for a choice held at x, as at one point, and with λ exchanged."""
    x, baseline = points()

    def held(z: Tensor, *args: Any) -> Tensor:
        places = hold(lambda: z.detach().argmax(1, keepdim=True))
        return z.gather(1, places)

    def exchanged(z: Tensor, *args: Any) -> Tensor:
        other = counterpart().args[0]
        i, j = z.argmax(1, keepdim=True), other.argmax(1, keepdim=True)
        now, then = z.detach(), other
        share = ahead(
            now.gather(1, i) - now.gather(1, j), then.gather(1, i) - then.gather(1, j)
        )
        value = now.gather(1, i)
        moved = hold(lambda: 1 - share) * z.gather(1, i) + hold(lambda: share) * z.gather(1, j)
        return moved - hold(lambda: moved.detach() - value)

    for broken in (held, exchanged):
        rules = REFERENCE_RULES | {torch.amax: broken}
        affine_map = linearize(
            lambda x: torch.amax(x, 1, True)[:, 0], x, baselines=baseline, rules=rules
        )
        change = x.amax(1) - baseline.amax(1)
        error = (affine_map.weight() * (x - baseline)).sum(1) - change
        assert error.abs().max() > 1e-3


def test_max_pooling_from_its_definition() -> None:
    """D window by window, in Python numbers."""
    x, baseline = double(1, 36), double(1, 36)

    def pool(x: Tensor) -> Tensor:
        return F.max_pool2d(x.view(-1, 1, 6, 6), 3, 2, 1)

    W = linearize(pool, x, baselines=baseline).weight().reshape(9, 36)
    expected = torch.zeros(9, 36, dtype=torch.float64)
    for row in range(3):
        for column in range(3):
            rows = [r for r in range(2 * row - 1, 2 * row + 2) if 0 <= r < 6]
            columns = [c for c in range(2 * column - 1, 2 * column + 2) if 0 <= c < 6]
            window = [6 * r + c for r in rows for c in columns]
            i = max(window, key=lambda place: x[0, place].item())
            j = max(window, key=lambda place: baseline[0, place].item())
            a, b = ((x - baseline)[0, place].item() for place in (i, j))
            change = x[0, i].item() - baseline[0, j].item()
            share = 1.0 if i == j else (change - b) / (a - b)
            expected[3 * row + column, i] += share
            expected[3 * row + column, j] += 1 - share
    torch.testing.assert_close(W, expected, rtol=1e-9, atol=1e-9)
    assert (W >= 0).all()
    torch.testing.assert_close(W.sum(1), torch.ones(9).double())


def test_sorting_from_its_definition() -> None:
    """Batcher's recursion, each comparator a matrix of two rows."""
    x, baseline = double(1, 8), double(1, 8)
    D, z, there = torch.eye(8).double(), x[0].clone(), baseline[0].clone()

    def compare(p: int, q: int) -> None:
        nonlocal D
        values = [sorted(v[[p, q]].tolist()) for v in (z, there)]
        (u, v), (u_there, v_there) = (map(Fraction, w[[p, q]].tolist()) for w in (z, there))
        a, b = u - u_there, v - v_there
        share = float((min(u, v) - min(u_there, v_there) - b) / (a - b))
        block = torch.eye(8).double()
        block[p, p] = block[q, q] = share
        block[p, q] = block[q, p] = 1 - share
        D = block @ D
        z[[p, q]], there[[p, q]] = (torch.tensor(v, dtype=torch.float64) for v in values)

    def merge(start: int, count: int, apart: int) -> None:
        step = 2 * apart
        if step < count:
            merge(start, count, step)
            merge(start + apart, count, step)
            for place in range(start + apart, start + count - apart, step):
                compare(place, place + apart)
        else:
            compare(start, start + apart)

    def order(start: int, count: int) -> None:
        if count > 1:
            order(start, count // 2)
            order(start + count // 2, count // 2)
            merge(start, count, 1)

    order(0, 8)
    W = linearize(lambda x: x.sort(1)[0], x, baselines=baseline).weight()[0]
    torch.testing.assert_close(W, D, rtol=1e-9, atol=1e-9)
    assert (W >= 0).all()
    for dim in (0, 1):
        torch.testing.assert_close(W.sum(dim), torch.ones(8).double())


@pytest.mark.parametrize("count", [*range(1, 20), 33, 100])
def test_the_network_sorts(count: int) -> None:
    values = double(count)
    places = torch.arange(count)
    result = values
    for partner in partners_of(count):
        assert torch.equal(partner[partner], places)
        lower, upper = (f(result, result[partner]) for f in (torch.minimum, torch.maximum))
        result = torch.where(partner > places, lower, upper)
    assert torch.equal(result, values.sort()[0])
    assert len(partners_of(count)) == math.comb(math.ceil(math.log2(count)) + 1, 2)


def test_a_third_element_that_jumps() -> None:
    """Neither the median at x nor the one at x' moves, and yet the median does."""
    x = torch.tensor([[1.0, 2.0, 3.0]]).double()
    baseline = torch.tensor([[1.0, 2.0, -5.0]]).double()
    affine_map = linearize(lambda x: x.median(1)[0], x, baselines=baseline)
    W = affine_map.weight()
    assert W[0, 2].item() == pytest.approx(1 / 8)
    assert W.sum().item() == pytest.approx(1)
    assert (W >= 0).all()


def test_masks_from_their_definition() -> None:
    """where(c, A, B): the branch, where c agrees; else a half each, and what closes Δy."""
    x, baseline = double(1, 8), double(1, 8)
    condition, before = double(1, 8) > 0, double(1, 8) > 0

    def function(x: Tensor) -> Tensor:
        c = torch.where(x.detach().sum() == point.sum(), condition, before)
        return torch.where(c, x[:, :4].repeat(1, 2), x[:, 4:].repeat(1, 2))

    point = x
    W = linearize(function, x, baselines=baseline).weight()[0]
    expected = torch.zeros(8, 8).double()
    step = (x - baseline)[0]
    for n in range(8):
        places = [n % 4, 4 + n % 4]
        a, b = step[places].tolist()
        c, c_before = bool(condition[0, n]), bool(before[0, n])
        change = (
            x[0, places[0 if c else 1]] - baseline[0, places[0 if c_before else 1]]
        ).item()
        if c == c_before:
            expected[n, places[0 if c else 1]] = 1
            continue
        more = (change - (a + b) / 2) / (abs(a) + abs(b))
        expected[n, places[0]] = 0.5 + math.copysign(more, more * a)
        expected[n, places[1]] = 0.5 + math.copysign(more, more * b)
    torch.testing.assert_close(W, expected, rtol=1e-9, atol=1e-9)


def test_ties_share() -> None:
    x = torch.tensor([[2.0, 2.0]]).double()
    for baseline in (x - 1, x):
        W = linearize(
            lambda x: torch.maximum(x[:, :1], x[:, 1:]), x, baselines=baseline
        ).weight()
        assert W.flatten().tolist() == [0.5, 0.5]


def test_infinite_values() -> None:
    """Masked scores are infinite at both points, and move nothing."""
    x, baseline = double(2, 6), double(2, 6)
    mask = torch.tensor([True, False, False, True, False, False])
    for op in (lambda z: z.amax(1), lambda z: z.topk(3, 1)[0], lambda z: z.cummax(1)[0][:, 1:]):
        affine_map = linearize(
            lambda x, op=op: op(x.masked_fill(mask, -torch.inf)), x, baselines=baseline
        )
        W = affine_map.weight().reshape(2, -1, 6)
        change = [op(v.masked_fill(mask, -torch.inf)).reshape(2, -1) for v in (x, baseline)]
        error = torch.einsum("rof,rf->ro", W, x - baseline) - (change[0] - change[1])
        assert error.abs().max() <= CLOSES * 10


@pytest.mark.parametrize(
    "function",
    [lambda x: F.max_pool1d(x.view(1, 2, 6), 3, 1), lambda x: x.sort(1)[0]],
    ids=["pool", "sort"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own decompositions
def test_derivatives_of_every_order_and_mode(function: Any) -> None:
    caught: list[Slope] = []

    def catching(run: Any, input: Tensor) -> Tensor:
        value, slope = run(input)
        caught.append(slope)
        return sloped(lambda _: (value, slope), input)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("captum_ilin.rules.selecting.sloped", catching)
        compare = partial(Comparison.at, (double(1, 12),), function, (), None, strict=True)
        between(function, compare)(double(1, 12).requires_grad_())
    (slope,) = caught
    z = double(1, 12) if function(double(1, 12)).dim() == 2 else double(1, 2, 6)

    def affine(z: Tensor) -> Tensor:
        return sloped(lambda z: (slope.push(z, *slope.held), slope), z)

    z = z.detach().requires_grad_()
    assert gradcheck(affine, z, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(affine, z, check_fwd_over_rev=True, check_batched_grad=True)


UNOWNED: dict[str, Callable[[Tensor], Tensor]] = {
    "mul": lambda x: x[:, :2] * (x[:, 2:] > 0),
    "matmul": lambda x: x[:, None, :2] @ x[:, 2:, None].detach(),
    "cat": lambda x: torch.cat([x, x[:, 2:].detach()], 1),
    "getitem": lambda x: x[torch.arange(2), (x[:, 3] > 0).long()],
    "getitem of another size": lambda x: x[:, int(x[0, 3] < 0) :][:, :1],
    "an infinite fill": lambda x: x.masked_fill(x < 0, -torch.inf).softmax(1),
    "index_put_": lambda x: (x * 1).index_put_(
        (torch.arange(2), (x[:, 3] > 0).long()), x[:, 0].detach().cos(), accumulate=True
    ),
}


@pytest.mark.parametrize("name", UNOWNED)
def test_what_has_no_owner_is_reported(name: str) -> None:
    """The elements that are acted on stay where they are, and only the constant moves."""
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]] * 2).double()
    baseline = x * torch.tensor([1.0, 1.0, -1.0, -1.0]).double()
    with pytest.warns(UnregisteredOpWarning) as warnings:
        affine_map = linearize(UNOWNED[name], x, baselines=baseline)
    (message,) = (str(warning.message) for warning in warnings)
    assert message.startswith("Differs between the two points: a constant of ")
    assert "Choose a baseline with the same masks and indices, or write the step" in message
    assert len(affine_map.freezing.reports.unregistered) == 1
    with pytest.raises(UnregisteredOpError, match="Differs between the two points"):
        linearize(UNOWNED[name], x, baselines=baseline, strict=True)


def test_only_what_may_differ_is_recorded() -> None:
    """Of ops that are affine, those with a constant that the input went into."""
    network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Conv1d(2, 3, 1)).double()
    ones = torch.ones(3, 4).double()

    def function(x: Tensor) -> Tensor:
        y = network[1](network[0](x).view(3, 2, 2).repeat(1, 1, 2))[:, :, 0] * 2 + ones[:, :3]
        gate = torch.zeros(3, 3).double()
        gate[y > 0] = 1
        return y * gate - y.detach().mean() / 2

    run = BaselineRun(REFERENCE_RULES)
    with run.run():
        function(run.enter(double(3, 4).requires_grad_()))
    recorded = [call.site.op_name for call in run.calls if call.is_recorded]
    assert recorded == ["__mul__", "__sub__"] or recorded == ["mul", "sub"]
