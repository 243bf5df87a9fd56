"""Values: what a network returns, its rounding, and networks in training mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from captum.attr import FeatureAblation, IntegratedGradients, Saliency
from torch import Tensor, nn

from captum_ilin.errors import TargetRangeError, TrainingModeWarning
from captum_ilin.metrics import (
    MetricInputError,
    cost,
    dummy,
    faithfulness_correlation,
    infidelity,
    input_invariance,
    max_sensitivity,
    morf,
    mprt,
    perturbation_curve,
    random_logit,
    relative_input_stability,
    sensitivity_n,
)

if TYPE_CHECKING:
    from collections.abc import Callable

X = torch.rand(2, 6)


@pytest.mark.parametrize(
    ("forward_func", "said"),
    [
        (
            lambda x: (x.sum(1), x),
            r"forward_func returned a tuple; expected a tensor, \(rows, ",
        ),
        (lambda x: {"logits": x}, r"forward_func returned a dict; expected a tensor"),
        (lambda x: x.sum(), r"forward_func returned shape \(\) for 14 rows; expected \(14, "),
        (lambda x: x.sum(0), r"forward_func returned shape \(6,\) for 14 rows"),
    ],
)
def test_outputs_that_are_no_rows_are_told(forward_func: Any, said: str) -> None:
    with pytest.raises(MetricInputError, match=said):
        morf(forward_func, X, X, target=0)


def noisy(x: Tensor) -> Tensor:
    """The same for every row, but for the rounding that a place in a batch brings."""
    return 3 + torch.arange(len(x)) % 5 * 2.0**-22 + 0 * x.sum(1)


def test_the_rounding_of_outputs_is_no_change() -> None:
    torch.manual_seed(0)
    phi = torch.randn(2, 6)
    found = faithfulness_correlation(noisy, X, phi, subset_size=2)
    assert found.reasons == ("The output is the same for all subsets.",) * 2
    assert sensitivity_n(noisy, X, phi, sizes=2).nan_count == 2
    assert dummy(noisy, X, phi).values.tolist() == [1.0, 1.0]
    curve = perturbation_curve(noisy, X, phi, relative=True)
    assert curve.reasons == ("The output is the same for the input and the baseline.",) * 2


def test_an_output_near_zero_is_as_rounded_as_the_others() -> None:
    def two(x: Tensor) -> Tensor:
        return torch.stack([noisy(x) - 3 + 1e-6, noisy(x)], 1)

    curve = perturbation_curve(two, X, X, target=0, relative=True)
    assert curve.reasons == ("The output is the same for the input and the baseline.",) * 2
    assert faithfulness_correlation(two, X, X, target=0, subset_size=2).nan_count == 2


def test_the_coarsest_type_says_what_is_rounding() -> None:
    """Inputs in float64 do not make outputs in float32 finer."""
    phi = torch.randn(2, 6)
    wide = X.double()
    assert sensitivity_n(lambda x: noisy(x.float()), wide, phi, sizes=2).nan_count == 2
    assert sensitivity_n(lambda x: noisy(x).double(), wide, phi, sizes=2).nan_count == 0


def test_tokens_are_removed_but_not_moved() -> None:
    tokens, table = torch.tensor([[1, 2, 3], [4, 0, 2]]), torch.randn(5).double()

    def scored(tokens: Tensor) -> Tensor:
        return table[tokens].sum(1)

    phi = table[tokens] - table[0]
    found = sensitivity_n(scored, tokens, phi, sizes=1)
    torch.testing.assert_close(found.values, torch.ones(2).double())
    assert cost(FeatureAblation, scored, tokens, repeats=1, memory=False).forwards >= 4
    with pytest.raises(MetricInputError, match=r"dtype torch.int64; expected a floating-point"):
        dummy(scored, tokens, phi)
    with pytest.raises(MetricInputError, match=r"dtype torch.int64; expected a floating-point"):
        infidelity(scored, tokens, phi, multiply_by_inputs=True)
    assert dummy(scored, tokens, phi, dummies=tokens == 0).nan_count == 1


def test_softmax_is_of_classes_and_in_float64() -> None:
    network = nn.Linear(6, 3).bfloat16()
    x = X.bfloat16()
    found = morf(network, x, x, target=1, softmax=True)
    expected = morf(lambda x: network(x).double().softmax(1), x, x, target=1)
    assert torch.equal(found.values, expected.values)
    with pytest.raises(
        MetricInputError, match=r"\(batch, classes\), but forward_func returned"
    ):
        morf(lambda x: x[:, None, :].expand(-1, 4, 6), X, X, target=(1, 2), softmax=True)


def test_more_than_attributions_is_told() -> None:
    delta = {"return_convergence_delta": True}
    with pytest.raises(MetricInputError, match="gave Tensor, Tensor for 1 inputs; expected an"):
        cost(IntegratedGradients, nn.Linear(6, 2), X, target=0, attribute_kwargs=delta)


def test_a_target_out_of_range_is_told() -> None:
    with pytest.raises(TargetRangeError, match="The target 7 is out of range"):
        random_logit(Saliency, nn.Linear(6, 3), X, target=7)


def training() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 3))


MEASURES: list[Callable[[nn.Module], Any]] = [
    lambda network: morf(network, X, X, target=1),
    lambda network: sensitivity_n(lambda x: network(x), X, X, target=1, sizes=2),
    lambda network: relative_input_stability(Saliency, network, X, target=1),
    lambda network: max_sensitivity(Saliency, network, X, target=1),
    lambda network: input_invariance(Saliency, network, X, 1.0, target=1),
    lambda network: cost(Saliency, network, X, target=1, repeats=1, memory=False),
    lambda network: mprt(Saliency, network, X, target=1, seeds=1),
    lambda network: random_logit(Saliency, network, X, target=1),
]


@pytest.mark.parametrize("measure", MEASURES)
def test_training_mode_is_told_and_leaves_no_trace(measure: Callable[[nn.Module], Any]) -> None:
    network = training()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    chance = torch.get_rng_state()
    with pytest.warns(TrainingModeWarning, match="BatchNorm1d, Dropout gives outputs that"):
        measure(network)
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), chance)
    assert network.training


def test_evaluation_mode_is_not_warned_of() -> None:
    morf(training().eval(), X, X, target=1)
    morf(nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.0)), X, X, target=1)


class Gradient:
    """An explainer that asks autograd and nobody else."""

    multiplies_by_inputs = False

    def __init__(self, network: Callable[[Tensor], Tensor]) -> None:
        self.network = network

    def attribute(self, inputs: Tensor, *, target: int) -> Tensor:
        (slope,) = torch.autograd.grad(self.network(inputs)[:, target].sum(), inputs)
        return slope


def test_methods_have_gradients_where_the_caller_has_none() -> None:
    with torch.no_grad():
        assert max_sensitivity(Gradient, nn.Linear(6, 3), X, target=1).values.tolist() == [0, 0]
