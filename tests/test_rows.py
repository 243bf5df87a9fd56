"""Every output's row of W, several at once, within a budget of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import profile
from torch.utils._python_dispatch import TorchDispatchMode

from captum_ilin import DEFAULT_RULES, TANGENT_RULES, BudgetError, frozen, linearize
from tests.networks import ConvNet, TinyTransformer, relu_mlp

if TYPE_CHECKING:
    from captum_ilin import AffineMap, RuleTable

ROUNDING = {"rtol": 1e-11, "atol": 1e-12}


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def wide_convnet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 8, 3), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(8 * 13 * 13, 60)),
    ).double()


NETWORKS: dict[str, Any] = {
    "mlp": lambda: (relu_mlp(40, 300, 64), double(3, 40)),
    "convnet": lambda: (ConvNet().double().eval(), double(2, 3, 12, 12)),
    "wide convnet": lambda: (wide_convnet(), double(1, 3, 32, 32)),
    "transformer": lambda: (TinyTransformer(batch_first=True), double(2, 5, 8)),
    "shaped outputs": lambda: (
        nn.Sequential(relu_mlp(12, 30, 20), nn.Unflatten(1, (4, 5))),
        double(2, 12),
    ),
}


@pytest.fixture(params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    return NETWORKS[request.param]()


def one_row(affine_map: AffineMap) -> int:
    """The smallest budget, as the error states it."""
    with pytest.raises(BudgetError) as error:
        affine_map.weight(budget=1)
    return int(str(error.value).split()[5])


def test_rows_are_those_of_the_dense_jacobian(case: tuple[nn.Module, Tensor]) -> None:
    network, x = case
    affine_map = linearize(network, x)
    J = torch.autograd.functional.jacobian(frozen(network), x)
    out = affine_map.outputs.dim()
    rows = torch.arange(len(x))
    expected = J.movedim(out, 1)[rows, rows]
    smallest = one_row(affine_map)
    for budget in (None, smallest, 3 * smallest, 7 * smallest, 2**30):
        torch.testing.assert_close(affine_map.weight(budget=budget), expected, **ROUNDING)


def test_the_budget_is_honoured_and_used() -> None:
    """Against every allocation PyTorch makes, those inside its kernels too."""
    for network, x in (NETWORKS["mlp"](), NETWORKS["wide convnet"]()):
        affine_map = linearize(network, x)
        result = affine_map.weight().untyped_storage().nbytes()
        for times in (1, 4, 12):
            budget = times * one_row(affine_map)
            with profile(profile_memory=True) as profiler:
                affine_map.weight(budget=budget)
            assert peak(profiler) - result <= 1.2 * budget


def peak(profiler: profile) -> int:
    events = profiler.profiler.kineto_results.events()
    memory = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    held = largest = 0
    for _, change in memory:
        held += change
        largest = max(largest, held)
    return largest


class Counting(TorchDispatchMode):
    """Counts the calls of one op."""

    def __init__(self, op: Any) -> None:
        super().__init__()
        self.op, self.calls = op, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):
        self.calls += func is self.op
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("rules", [DEFAULT_RULES, TANGENT_RULES], ids=lambda rules: rules.name)
def test_rows_through_tangents_are_computed_together(rules: RuleTable) -> None:
    """The first, a pair that tells what several take, and the others."""
    network, x = relu_mlp(40, 300, 64), double(3, 40)
    network[1] = nn.Sigmoid()
    affine_map = linearize(network, x, rules=rules)
    with Counting(torch.ops.aten.sigmoid_backward.default) as counting:
        affine_map.weight()
    assert counting.calls == 3


def test_an_input_that_only_sets_gates_has_rows_of_zeros() -> None:
    a, b = double(2, 6), double(2, 6)
    affine_map = linearize(lambda a, b: a * torch.sigmoid(b), (a, b))
    for_a, for_b = affine_map.weight()
    torch.testing.assert_close(for_a, torch.diag_embed(torch.sigmoid(b)), **ROUNDING)
    torch.testing.assert_close(for_b, torch.zeros_like(for_a), rtol=0, atol=0)


def test_a_budget_too_small_for_one_row() -> None:
    affine_map = linearize(relu_mlp(40, 300, 64), double(3, 40))
    smallest = one_row(affine_map)
    with pytest.raises(BudgetError) as error:
        affine_map.weight(budget=smallest - 1)
    assert str(error.value) == (
        f"One row of W takes {smallest} bytes while it is computed, but the budget is "
        f"{smallest - 1}. Pass budget={smallest} or more, or explain fewer examples at once."
    )
    affine_map.weight(budget=smallest)
