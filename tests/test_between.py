"""Two operating points: F(x) − F(x') = <W, x − x'>, whatever the network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function

from captum_ilin import (
    ILIN,
    TANGENT_RULES,
    BaselineError,
    BaselinePathError,
    NotOfferedError,
    RuleTypeError,
    UnregisteredOpError,
    UnregisteredOpWarning,
    counterpart,
    linearize,
)
from captum_ilin.rules.rescale import piecewise_rescaling, rescaling

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
        chord = piecewise_rescaling if function is torch.relu else rescaling
        value, slope = chord(function, here, there)
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


# the certificate, and what is not offered


def test_the_certificate_measures_both_points() -> None:
    network, x, baseline = NETWORKS["gelu"]().double(), double(3, 6), double(3, 6)
    certificate = linearize(network, x, baselines=baseline).certificate(thorough=True)
    assert certificate.baseline_error is not None
    assert certificate.largest_error <= 1e-13
    assert certificate.rules == "REFERENCE_RULES"
    assert certificate.replay_error is None
    assert linearize(network, x).certificate().baseline_error is None


def test_the_certificate_shows_a_gap() -> None:
    """Of a network that was changed since: another one's difference."""
    network, x, baseline = NETWORKS["gelu"]().double(), double(3, 6), double(3, 6)
    affine_map = linearize(network, x, baselines=baseline)
    network[0] = nn.Linear(6, 9).double()
    error = affine_map.certificate().baseline_error
    assert error is not None
    assert error > 1e-3


@pytest.mark.parametrize("what", ["replay", "region"])
def test_gates_of_one_point_are_not_offered(what: str) -> None:
    affine_map = linearize(NETWORKS["relu"]().double(), double(1, 6), baselines=0.0)
    with pytest.raises(
        NotOfferedError, match=f"^{what} is not offered for a map with baselines"
    ):
        affine_map.region() if what == "region" else affine_map.replay(double(1, 6))


def test_layers_between_two_points() -> None:
    network, x, baseline = NETWORKS["gelu"]().double(), double(3, 6), double(3, 6)
    affine_map = linearize(network, x, baselines=baseline)
    layer, u = affine_map.layer("1"), double(3, 4)
    torch.testing.assert_close((u @ layer.above) @ layer.below, u @ affine_map.operator())


# the Captum method


def test_attributions_add_up_to_the_difference() -> None:
    network, x, baseline = NETWORKS["products"]().double(), double(3, 6), double(1, 6)
    ilin = ILIN(network)
    attributions, delta = ilin.attribute(
        x, target=1, baselines=baseline, return_convergence_delta=True
    )
    change = (network(x) - network(baseline))[:, 1]
    torch.testing.assert_close(attributions.sum(1), change, rtol=1e-12, atol=1e-13)
    assert delta.abs().max() <= 1e-13
    W = ILIN(network, multiply_by_inputs=False).attribute(x, target=1, baselines=baseline)
    torch.testing.assert_close(W * (x - baseline), attributions)
    again = ilin.compute_convergence_delta(attributions, baseline, x, target=1)
    torch.testing.assert_close(again, delta, rtol=0, atol=1e-14)
    plain = ILIN(network, multiply_by_inputs=False)
    again = plain.compute_convergence_delta(W, baseline, x, target=1)
    assert again.abs().max() <= 1e-13


def test_a_wrong_attribution_has_a_delta() -> None:
    network, x = NETWORKS["products"]().double(), double(3, 6)
    found = ILIN(network).attribute(x, target=1)
    delta = ILIN(network).compute_convergence_delta(found, 0.5, x, target=1)
    assert delta.abs().min() > 1e-6


def test_a_distribution_is_averaged_over() -> None:
    network, x, baselines = NETWORKS["gelu"]().double(), double(3, 6), double(5, 1, 6)
    ilin = ILIN(network)
    found, delta = ilin.attribute(
        x, target=2, baselines=baselines, return_convergence_delta=True
    )
    each = [ilin.attribute(x, target=2, baselines=one) for one in baselines]
    torch.testing.assert_close(found, torch.stack(each).mean(0))
    assert delta.abs().max() <= 1e-13
    expected = network(x)[:, 2] - network(baselines[:, 0])[:, 2].mean()
    torch.testing.assert_close(found.sum(1), expected, rtol=1e-12, atol=1e-13)


def test_several_inputs_and_constants() -> None:
    def forward(a: Tensor, b: Tensor, scale: float) -> Tensor:
        return torch.tanh(a * b * scale)

    a, b = double(3, 4), double(3, 4)
    found = ILIN(forward).attribute(
        (a, b), target=1, baselines=(0.3, None), additional_forward_args=2.0
    )
    change = (forward(a, b, 2.0) - forward(torch.full_like(a, 0.3), b * 0, 2.0))[:, 1]
    torch.testing.assert_close(found[0].sum(1) + found[1].sum(1), change)


def test_what_is_not_offered_with_baselines() -> None:
    network, x = NETWORKS["gelu"]().double(), double(3, 6)
    with pytest.raises(NotOfferedError, match="return_bias is not offered with baselines"):
        ILIN(network).attribute(x, target=0, baselines=0.0, return_bias=True)
    with pytest.raises(RuleTypeError, match=r"freezes at one operating point.*With baselines"):
        ILIN(network, rules=TANGENT_RULES).attribute(x, target=0, baselines=0.0)


def test_distributions_of_different_sizes() -> None:
    baselines = (double(2, 1, 4), double(3, 1, 4))
    with pytest.raises(BaselineError, match=r"distributions of \[2, 3\] baselines"):
        ILIN(lambda a, b: a * b).attribute(
            (double(3, 4), double(3, 4)), target=0, baselines=baselines
        )


def test_the_model_is_left_as_it_was() -> None:
    network, x = NETWORKS["relu in place"]().double().train(), double(3, 6)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    kept, baseline = x.clone(), double(3, 6)
    ILIN(network).attribute(x, target=0, baselines=baseline)
    assert torch.equal(x, kept)
    assert network.training
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


# ops without a rule


def cubic(x: Tensor) -> Tensor:
    """An op that no table knows, and that announces itself as ops do."""
    if has_torch_function((x,)):
        return handle_torch_function(cubic, (x,), x)  # type: ignore[no-any-return]
    return x**3


def quadratic(x: Tensor) -> Tensor:
    if has_torch_function((x,)):
        return handle_torch_function(quadratic, (x,), x)  # type: ignore[no-any-return]
    return x * x + x


def test_an_op_without_a_rule_takes_its_tangent_midway() -> None:
    x, baseline = double(3, 6), double(3, 6)
    with pytest.warns(UnregisteredOpWarning, match="No rule between two points for: cubic"):
        affine_map = linearize(cubic, x, baselines=baseline)
    W = torch.diagonal(affine_map.weight(), dim1=1, dim2=2)
    torch.testing.assert_close(W, 3 * ((x + baseline) / 2) ** 2)
    torch.testing.assert_close(affine_map(x), x**3)
    error = affine_map.certificate().baseline_error
    assert error is not None
    assert error > 1e-6


def test_midway_a_quadratic_op_without_a_rule_leaves_nothing_over() -> None:
    x, baseline = double(3, 6), double(3, 6)
    with pytest.warns(UnregisteredOpWarning, match=r"a remainder, which the certificate"):
        affine_map = linearize(quadratic, x, baselines=baseline)
    torch.testing.assert_close(affine_map(baseline), quadratic(baseline))
    assert dict(affine_map.certificate().unregistered) == {"quadratic": 1}


def test_an_op_without_a_rule_is_refused_if_strict() -> None:
    with pytest.raises(UnregisteredOpError, match=r"rules=REFERENCE_RULES \| {op: rule}\)`"):
        linearize(cubic, double(3, 6), baselines=0.5, strict=True)


class Squared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, vector: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * vector


def test_a_custom_function_takes_its_tangent_at_x() -> None:
    def forward(x: Tensor) -> Tensor:
        return Squared.apply(2 * x) * 1.0  # type: ignore[no-untyped-call, no-any-return]

    x, baseline = double(3, 6), double(3, 6)
    with pytest.warns(UnregisteredOpWarning, match=r"\(a custom function at x\)"):
        affine_map = linearize(forward, x, baselines=baseline)
    W = torch.diagonal(affine_map.weight(), dim1=1, dim2=2)
    torch.testing.assert_close(W, 8 * x)


class Skewed(nn.Module):
    """Writes where PyTorch would: an op without a rule that ends in an underscore."""

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        return cubic_(y)


def cubic_(x: Tensor) -> Tensor:
    if has_torch_function((x,)):
        return handle_torch_function(cubic_, (x,), x)  # type: ignore[no-any-return]
    return x.pow_(3)


def test_an_op_without_a_rule_that_writes() -> None:
    x, baseline = double(3, 6), double(3, 6)
    with pytest.warns(UnregisteredOpWarning, match="No rule between two points for: cubic_"):
        affine_map = linearize(Skewed(), x, baselines=baseline)
    W = torch.diagonal(affine_map.weight(), dim1=1, dim2=2)
    torch.testing.assert_close(W, 6 * (x + baseline) ** 2)


@pytest.mark.parametrize("chord", [rescaling, piecewise_rescaling])
def test_points_that_are_laid_out_apart(chord: Any) -> None:
    here, there = double(3, 4), double(4, 3).t()
    here[1, 2] = there[1, 2]
    for pair in ((here, there), (there, here)):
        value, slope = chord(torch.relu, *pair)
        expected = chord(torch.relu, *(point.contiguous() for point in pair))
        assert torch.equal(value, expected[0])
        assert torch.equal(slope, expected[1])


def test_a_part_of_a_product_that_is_written_to() -> None:
    """``einsum`` returns a view of a matrix of its own."""

    def forward(x: Tensor) -> Tensor:
        y = torch.einsum("bi,bj->bji", x, x.tanh())
        y[:, 1:].sigmoid_()
        return y.flatten(1)

    x, baseline = double(2, 4), double(2, 4)
    W = linearize(forward, x, baselines=baseline).weight()
    change = forward(x) - forward(baseline)
    torch.testing.assert_close((W * (x - baseline)[:, None]).sum(2), change)


@pytest.mark.parametrize("function", [torch.exp, torch.relu])
def test_numbers_that_are_masked_at_both_points(function: Any) -> None:
    """−∞ less −∞ has no quotient, and there is nothing to explain."""
    hidden = torch.tensor([[True, False, False]])

    def forward(x: Tensor) -> Tensor:
        return function(x.masked_fill(hidden, -torch.inf)) * 2

    x, baseline = double(2, 3), double(2, 3)
    x[0, 1] = baseline[0, 1]
    affine_map = linearize(forward, x, baselines=baseline)
    W, change = affine_map.weight(), forward(x) - forward(baseline)
    torch.testing.assert_close((W * (x - baseline)[:, None]).sum(2), change)
    torch.testing.assert_close(affine_map(baseline), forward(baseline))


def test_memory_that_is_overwritten_whole() -> None:
    """What it held before is no constant of the function."""
    held = iter([1.0, 2.0])

    def forward(x: Tensor) -> Tensor:
        memory = torch.full_like(x, next(held, 3.0))
        return memory.copy_(x.tanh())

    x, baseline = double(2, 4), double(2, 4)
    affine_map = linearize(forward, x, baselines=baseline, strict=True)
    change = x.tanh() - baseline.tanh()
    W = affine_map.weight()
    torch.testing.assert_close((W * (x - baseline)[:, None]).sum(2), change)
