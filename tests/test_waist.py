"""All rows of W through a narrow waist: as without it, for every shape of network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import DEFAULT_RULES, TANGENT_RULES, frozen, linearize
from captum_ilin.waist import waist_of
from tests.test_rows import Counting, one_row, peak

if TYPE_CHECKING:
    from captum_ilin import AffineMap

ROUNDING = {"rtol": 1e-11, "atol": 1e-12}


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def classifier(waist: int = 7, outputs: int = 50) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, waist, 3)),
        *(nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(waist, outputs)),
    ).double()


class Residual(nn.Module):
    """A waist below a residual branch: a cut, though not on a single chain."""

    def __init__(self) -> None:
        super().__init__()
        self.below = nn.Sequential(nn.Linear(60, 90), nn.Tanh(), nn.Linear(90, 6)).double()
        self.branch = nn.Sequential(nn.Linear(6, 6), nn.SiLU()).double()
        self.above = nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 80)).double()

    def forward(self, x: Tensor) -> Tensor:
        features = self.below(x)
        return torch.softmax(self.above(features + self.branch(features)), -1)


class LastWord(nn.Module):
    """Logits at every position, of which the last is taken: most of the cut is unused."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
        self.body = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(8, 70)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))[:, -1]


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(20, 30).double(), nn.Linear(10, 30).double()
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(30, 5), nn.ReLU(), nn.Linear(5, 40))
        self.rest.double()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.rest(self.a(a) * torch.sigmoid(self.b(b)) + self.b(b))


# network, inputs, and how many rows its features take
NETWORKS: dict[str, Any] = {
    "classifier": lambda: (classifier(), double(1, 3, 12, 12), 7),
    "a batch": lambda: (classifier().eval(), double(5, 3, 12, 12), 7),
    "below a residual branch": lambda: (Residual(), double(2, 60), 6),
    "one position used": lambda: (LastWord(), double(2, 6, 8), 8),
    "two inputs": lambda: (TwoInputs(), (double(3, 20), double(3, 10)), 5),
}


@pytest.fixture(params=NETWORKS)
def case(request: pytest.FixtureRequest) -> Any:
    network, inputs, waist = NETWORKS[request.param]()
    return network.eval(), inputs, waist


def by_definition(network: nn.Module, inputs: Any) -> list[Tensor]:
    """Each example's block of the Jacobian of the frozen network, one output at a time."""
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    leaves = tuple(each.clone().requires_grad_() for each in inputs)
    outputs = frozen(network)(*leaves)
    weights = [leaf.new_zeros(*outputs.shape, *leaf.shape[1:]) for leaf in leaves]
    for row in range(len(outputs)):
        for number in range(outputs.shape[1]):
            slopes = torch.autograd.grad(outputs[row, number], leaves, retain_graph=True)
            for weight, slope in zip(weights, slopes, strict=True):
                weight[row, number] = slope[row]
    return weights


def test_the_waist_is_found(case: Any) -> None:
    network, inputs, expected = case
    affine_map = linearize(network, inputs)
    waist = waist_of(affine_map.graph_outputs, affine_map.leaves)
    assert waist is not None
    assert 0 < waist.features.count <= expected  # less where a unit is off for all examples


@pytest.mark.parametrize("rules", [DEFAULT_RULES, TANGENT_RULES], ids=lambda rules: rules.name)
def test_rows_through_it_are_those_of_each_output(case: Any, rules: Any) -> None:
    network, inputs, _ = case
    affine_map = linearize(network, inputs, rules=rules)
    assert waist_of(affine_map.graph_outputs, affine_map.leaves) is not None
    found = affine_map.weight()
    outputs = range(affine_map.outputs.shape[1])
    each = [affine_map.weight(target=output) for output in outputs]
    if isinstance(found, tuple):
        for place, weight in enumerate(found):
            expected = torch.stack([row[place] for row in each], 1)
            torch.testing.assert_close(weight, expected, **ROUNDING)
    else:
        torch.testing.assert_close(found, torch.stack(each, 1), **ROUNDING)


def test_rows_through_it_are_those_of_the_jacobian(case: Any) -> None:
    network, inputs, _ = case
    found = linearize(network, inputs).weight()
    found = found if isinstance(found, tuple) else (found,)
    for weight, expected in zip(found, by_definition(network, inputs), strict=True):
        torch.testing.assert_close(weight, expected, **ROUNDING)


def test_within_any_budget(case: Any) -> None:
    network, inputs, _ = case
    affine_map = linearize(network, inputs)
    expected, smallest = affine_map.weight(), one_row(affine_map)
    for times in (1, 2, 5, 40):
        found = affine_map.weight(budget=times * smallest)
        torch.testing.assert_close(found, expected, **ROUNDING)


def test_the_budget_is_honoured() -> None:
    """Against every allocation PyTorch makes, the head's among them."""
    body = nn.Sequential(nn.Linear(90, 400), nn.GELU(), nn.Linear(400, 20), nn.Tanh())
    network = nn.Sequential(body, nn.Linear(20, 300)).double()
    _is_honoured(linearize(network, double(2, 90)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_budget_is_honoured_by_convolutions(dtype: torch.dtype) -> None:
    """What their kernels take for themselves is more than their results here."""
    network, x = classifier(20, 300).eval(), double(2, 3, 24, 24)
    _is_honoured(linearize(network.to(dtype), x.to(dtype)))


def _is_honoured(affine_map: AffineMap) -> None:
    result = affine_map.weight().untyped_storage().nbytes()
    for times in (1, 2, 4, 12):
        budget = times * one_row(affine_map)
        with torch.profiler.profile(profile_memory=True) as profiler:
            affine_map.weight(budget=budget)
        assert peak(profiler) - result <= 1.2 * budget


def test_the_body_is_passed_once_for_each_feature() -> None:
    """One row alone, three probes, and the features' rows, mapped: not one for each output."""
    network, x = classifier(3, 400).eval(), double(1, 3, 12, 12)
    affine_map = linearize(network, x)
    with Counting(torch.ops.aten.threshold_backward.default) as counting:
        affine_map.weight(budget=40 * one_row(affine_map))
    assert counting.calls <= 6


def test_examples_that_depend_on_one_another_have_none() -> None:
    """In training a batch norm mixes them, and head · features would drop the mixed terms."""
    network = classifier().train()
    x = double(3, 3, 12, 12)
    with pytest.warns(UserWarning, match="training"):
        affine_map = linearize(network, x)
    assert waist_of(affine_map.graph_outputs, affine_map.leaves) is None
    each = [affine_map.weight(target=output) for output in range(50)]
    torch.testing.assert_close(affine_map.weight(), torch.stack(each, 1), **ROUNDING)


@pytest.mark.parametrize(
    "network", [nn.Linear(40, 60), nn.Sequential(nn.Linear(9, 60), nn.ReLU())]
)
def test_no_waist_that_saves_nothing(network: nn.Module) -> None:
    features = next(iter(network.parameters())).shape[1]
    affine_map = linearize(network.double(), double(2, features))
    assert waist_of(affine_map.graph_outputs, affine_map.leaves) is None


def test_none_in_half_precision_or_of_constants() -> None:
    network, x = classifier().eval(), double(1, 3, 12, 12)
    for function, point in (
        (network.bfloat16(), x.bfloat16()),
        (lambda x: torch.zeros(len(x), 50).double() + x.round().mean().detach(), x),
    ):
        affine_map = linearize(function, point)
        assert waist_of(affine_map.graph_outputs, affine_map.leaves) is None


def test_a_head_of_zeros() -> None:
    network = classifier().eval()
    nn.init.zeros_(network[-1].weight)
    W = linearize(network, double(2, 3, 12, 12)).weight()
    torch.testing.assert_close(W, torch.zeros_like(W), rtol=0, atol=0)
