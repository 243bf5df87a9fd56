"""Two operating points: F(x) − F(x') = <W, x − x'>, whatever the network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import BaselineError, BaselinePathError, counterpart, linearize
from captum_ilin.errors import NotOfferedError
from captum_ilin.rules.between import rescaling

CLOSES = 1e-13


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x) * self.b(x).sigmoid() / (1 + self.a(x).square())


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.cell = kind(3, 5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(x.unflatten(1, (2, 3)))[0][:, -1]


def mlp(activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 9), activation, nn.Linear(9, 4))


NETWORKS: dict[str, Any] = {
    "relu": lambda: mlp(nn.ReLU()),
    "relu in place": lambda: mlp(nn.ReLU(inplace=True)),
    "relu6": lambda: mlp(nn.ReLU6()),
    "gelu": lambda: mlp(nn.GELU()),
    "hardswish": lambda: mlp(nn.Hardswish()),
    "products": Gated,
    "lstm": lambda: Recurrent(nn.LSTM),
    "gru": lambda: Recurrent(nn.GRU),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_difference_is_what_the_features_owe(name: str) -> None:
    network, x, baseline = NETWORKS[name]().double(), double(3, 6), double(3, 6)
    affine_map = linearize(network, x, baselines=baseline)
    W, change = affine_map.weight(), network(x) - network(baseline)
    explained = (W * (x - baseline)[:, None]).sum(2)
    assert (explained - change).abs().max() <= CLOSES * change.abs().max()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_map_passes_through_both_points(name: str) -> None:
    """With b from the ledger, which knows nothing of F."""
    network, x, baseline = NETWORKS[name]().double(), double(3, 6), double(3, 6)
    affine_map = linearize(network, x, baselines=baseline)
    for point in (x, baseline):
        torch.testing.assert_close(affine_map(point), network(point), rtol=1e-12, atol=1e-12)


def test_a_map_of_one_point_does_not() -> None:
    """The law above fails where gates are held at x alone."""
    network, x, baseline = NETWORKS["gelu"]().double(), double(3, 6), double(3, 6)
    there = linearize(network, x)(baseline)
    assert (there - network(baseline)).abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "function", [torch.exp, torch.tanh, torch.relu, nn.functional.hardswish, nn.functional.gelu]
)
def test_the_chord_at_any_separation(function: Any, dtype: torch.dtype) -> None:
    """From 0 to 1: the slope is the function's, and the sum closes to the rounding of φ."""
    eps = torch.finfo(dtype).eps
    there = torch.randn(500, dtype=dtype)
    for separation in (0.0, 1e-12, 1e-9, 1e-6, 1e-3, 1e-1, 1.0):
        here = there + separation * torch.randn(500, dtype=dtype)
        value, slope = rescaling(function, here, there)
        exact = function(here.double()) - function(there.double())
        error = slope.double() * (here.double() - there.double()) - exact
        rounding = eps * (value.abs() + function(there).abs() + here.abs()).double()
        assert (error.abs() <= 8 * rounding).all()
        assert torch.equal(value, function(here))
        assert torch.isfinite(slope).all()
        # No noise of the quotient: within the slopes that φ has between the points.
        low, high = _slopes_between(function, here, there)
        noise = 30 * eps ** (2 / 3)
        assert ((slope >= low - noise) & (slope <= high + noise)).all()


def _slopes_between(function: Any, here: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    shares = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None]
    points = (there.double() + shares * (here.double() - there.double())).requires_grad_()
    (slopes,) = torch.autograd.grad(function(points).sum(), points)
    return slopes.amin(0), slopes.amax(0)


def test_equal_points_give_the_tangent() -> None:
    network, x = NETWORKS["gelu"]().double(), double(3, 6)
    W = linearize(network, x, baselines=x).weight()
    J = torch.autograd.functional.jacobian(network, x)
    torch.testing.assert_close(W, J[torch.arange(3), :, torch.arange(3)], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("form", ["number", "one example", "every example", "tuple"])
def test_baselines_in_captums_forms(form: str) -> None:
    network, x = NETWORKS["gelu"]().double(), double(3, 6)
    forms = {"number": 0.5, "one example": double(1, 6), "every example": double(3, 6)}
    given: Any = forms.get(form, 0.5)
    inputs: Any = (x,) if form == "tuple" else x
    affine_map = linearize(network, inputs, baselines=(given,) if form == "tuple" else given)
    expected = torch.as_tensor(given, dtype=torch.float64).expand(3, 6)
    assert affine_map.baselines is not None
    torch.testing.assert_close(affine_map.baselines[0], expected, rtol=0, atol=0)


BAD: dict[str, tuple[Any, str]] = {
    "shape": (
        torch.zeros(3, 5).double(),
        "has shape (3, 5); expected that of the input, (3, 6)",
    ),
    "dtype": (torch.zeros(3, 6), "is torch.float32 on cpu, but the input is torch.float64"),
    "count": ((0.0, 0.0), "There are 1 inputs but 2 baselines"),
    "values": (torch.full((3, 6), torch.nan).double(), "holds values that are not finite"),
    "type": ("zero", "has type str; expected a number, a tensor, or None"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_baselines(case: str) -> None:
    baselines, words = BAD[case]
    with pytest.raises(BaselineError) as error:
        linearize(NETWORKS["gelu"]().double(), double(3, 6), baselines=baselines)
    assert words in str(error.value)


def test_another_path_at_the_baseline() -> None:
    def branching(x: Tensor) -> Tensor:
        return torch.tanh(x) if x.sum() > 0 else torch.sigmoid(x)

    x = torch.ones(2, 3).double()
    with pytest.raises(BaselinePathError) as error:
        linearize(branching, x, baselines=-x)
    assert str(error.value).startswith(
        "The forward function takes another path at the baseline: its op number 2 is tanh at "
        "x, and sigmoid at the baseline."
    )


def test_a_longer_path_at_the_baseline() -> None:
    def branching(x: Tensor) -> Tensor:
        return torch.tanh(x) if x.sum() > 0 else torch.tanh(torch.tanh(x))

    x = torch.ones(2, 3).double()
    with pytest.raises(BaselinePathError, match="the end of the forward function at x"):
        linearize(branching, x, baselines=-x)
    with pytest.raises(BaselinePathError, match="the end of the forward function at the base"):
        linearize(branching, -x, baselines=x)


def test_a_selection_of_another_size() -> None:
    x = torch.tensor([[1.0, -1.0, 2.0]]).double()
    with pytest.raises(BaselinePathError, match=r"how much is selected depends on the values"):
        linearize(lambda x: torch.tanh(x[x > 0]).sum()[None], x, baselines=-x)


def test_a_rule_between_two_points_needs_them() -> None:
    with pytest.raises(NotOfferedError, match=r"Pass baselines=, or rules that need one"):
        counterpart()
