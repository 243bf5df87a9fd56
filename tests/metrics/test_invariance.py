"""Linearity and the two invariances: who keeps them, who breaks them, and by how much."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from captum.attr import (
    DeepLift,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    NoiseTunnel,
    Saliency,
)
from torch import Tensor, nn

from captum_ilin import ILIN
from captum_ilin.metrics import (
    MetricInputError,
    implementation_invariance,
    input_invariance,
    linearity,
)
from tests.fingerprint import untouched
from tests.networks import relu_mlp

pytestmark = pytest.mark.filterwarnings("ignore:\\s*Setting ")  # Captum's note about its hooks


class Gradient(Saliency):
    """With its sign."""

    def attribute(self, *args: Any, **kwargs: Any) -> Any:
        return super().attribute(*args, abs=False, **kwargs)


class SmoothGrad:
    """Draws from the global generator."""

    def __init__(self, forward_func: Any) -> None:
        self.explainer = NoiseTunnel(Saliency(forward_func))

    def attribute(self, inputs: Tensor, **kwargs: Any) -> Tensor:
        return self.explainer.attribute(inputs, nt_samples=4, abs=False, **kwargs)


@pytest.mark.parametrize("method", [ILIN, InputXGradient, Gradient, DeepLift, SmoothGrad])
def test_methods_that_are_linear(method: Any) -> None:
    f, g, x = relu_mlp(5, 8, 3), relu_mlp(5, 8, 3), torch.randn(6, 5).double()
    assert linearity(method, f, g, x, 0.7, -0.4, target=1).values.max() < 1e-12


def test_methods_that_are_not_linear_are_caught() -> None:
    f, g, x = relu_mlp(5, 8, 3), relu_mlp(5, 8, 3), torch.randn(6, 5).double()
    for method in (Saliency, GuidedBackprop):
        assert linearity(method, f, g, x, 0.7, -0.4, target=1).values.min() > 0.05


def test_linearity_is_its_definition() -> None:
    f, g, x = relu_mlp(5, 8, 3), relu_mlp(5, 8, 3), torch.randn(4, 5).double()
    found = linearity(Saliency, f, g, x, 0.7, -0.4, target=1)
    for row in range(4):

        def saliency(function: Any, point: Tensor = x[row]) -> Tensor:
            return torch.autograd.functional.jacobian(lambda x: function(x)[1], point).abs()

        expected = 0.7 * saliency(f) - 0.4 * saliency(g)
        difference = saliency(lambda x: 0.7 * f(x) - 0.4 * g(x)) - expected
        assert float(found.values[row]) == pytest.approx(
            float(difference.norm() / expected.norm()), rel=1e-9
        )


def rescaled(network: nn.Sequential, factor: float) -> nn.Sequential:
    """The same function: hidden units larger, the weights after them smaller."""
    twin = relu_mlp(*(layer.in_features for layer in network[::2]), network[-1].out_features)
    twin.load_state_dict(network.state_dict())
    with torch.no_grad():
        for parameter in twin[0].parameters():
            parameter *= factor
        twin[2].weight /= factor
    return twin


class Negated(nn.Module):
    """F by way of −x."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.left, self.right = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.network(self.left(x) - self.right(-x))


@pytest.mark.parametrize("method", [ILIN, InputXGradient, Gradient, IntegratedGradients])
@pytest.mark.parametrize("rewrite", [lambda n: rescaled(n, 3.0), Negated])
def test_methods_of_the_function_alone(method: Any, rewrite: Any) -> None:
    network, x = relu_mlp(5, 8, 3), torch.randn(6, 5).double()
    found = implementation_invariance(method, network, rewrite(network), x, target=1)
    assert found.values.max() < 1e-12


def test_a_method_that_reads_the_implementation_is_caught() -> None:
    network, x = relu_mlp(5, 8, 3), torch.randn(6, 5).double()
    found = implementation_invariance(GuidedBackprop, network, Negated(network), x, target=1)
    assert found.values.min() > 0.05


def test_a_twin_with_another_function_is_refused() -> None:
    network, x = relu_mlp(5, 8, 3), torch.randn(6, 5).double()
    with pytest.raises(MetricInputError, match="The twin computes another function: its outp"):
        implementation_invariance(ILIN, network, relu_mlp(5, 8, 3), x, target=1)
    with pytest.raises(MetricInputError, match=r"The twin's output has shape \(6, 4\); expe"):
        implementation_invariance(ILIN, network, relu_mlp(5, 8, 4), x, target=1)


def test_a_twin_that_agrees_at_the_inputs_alone_is_refused() -> None:
    ones = torch.ones(2, 3)
    with pytest.raises(MetricInputError, match="or half-way from them to 0"):
        implementation_invariance(Saliency, lambda x: x.sum(1), lambda x: (x**2).sum(1), ones)


def test_gradients_do_not_depend_on_the_origin_and_contributions_do() -> None:
    network, x = relu_mlp(5, 16, 3), torch.randn(8, 5).double()
    shift = torch.randn(5).double()
    assert input_invariance(Gradient, network, x, shift, target=1).values.max() < 1e-12
    for method in (ILIN, InputXGradient, IntegratedGradients, DeepLift):
        found = input_invariance(method, network, x, shift, target=1)
        assert found.values.min() > 0.1


def test_integrated_gradients_agree_if_the_baseline_is_shifted_too() -> None:
    network, x = relu_mlp(5, 16, 3), torch.randn(8, 5).double()
    shift, base = torch.randn(5).double(), torch.zeros(1, 5).double()
    for method in (IntegratedGradients, DeepLift):
        found = input_invariance(
            method,
            network,
            x,
            shift,
            target=1,
            attribute_kwargs={"baselines": base},
            shifted_kwargs={"baselines": base + shift},
        )
        # A point of the path that rounding puts on the other side of a kink weighs one of
        # the 50 steps; to rounding otherwise.
        assert found.values.median() < 1e-12


def test_kindermans_figures_on_digits() -> None:
    digits = pytest.importorskip("comparisons.models.digits", reason="needs scikit-learn")
    network = digits.cnn()
    x, target = network.inputs[:8], network.targets[:8]
    shift, zero = torch.full((1, 8, 8), 0.5), torch.zeros(1, 1, 8, 8)

    def mean(method: Any, **more: Any) -> float:
        return input_invariance(method, network.model, x, shift, target=target, **more).mean()

    assert mean(Gradient) < 1e-5
    for method in (ILIN, InputXGradient, IntegratedGradients, DeepLift):
        assert mean(method) > 0.3
    moved = {
        "attribute_kwargs": {"baselines": zero},
        "shifted_kwargs": {"baselines": zero + shift},
    }
    assert mean(IntegratedGradients, **moved) < 1e-3


def test_tuples_and_further_arguments_go_through() -> None:
    x = torch.randn(3, 2).double(), torch.randn(3, 2).double()
    found = input_invariance(
        InputXGradient,
        lambda a, b, c: (a * b).sum(1) + c,
        x,
        (torch.tensor(1.0), torch.zeros(2)),
        additional_forward_args=torch.ones(3),
    )
    # The gradient for a is b at the same evidence, so only a's contributions move, by b.
    contributions = torch.cat([x[0] * x[1]] * 2, 1)
    assert torch.allclose(found.values, x[1].norm(dim=1) / contributions.norm(dim=1))


def test_attributions_of_zero_have_a_reason() -> None:
    found = input_invariance(InputXGradient, nn.Linear(2, 1), torch.zeros(1, 2), 1.0)
    assert found.reasons == ("every attribution it is compared with is 0",)


def test_a_shift_of_each_example_is_refused() -> None:
    with pytest.raises(MetricInputError, match=r"The shift has shape \(3, 2\); expected a num"):
        input_invariance(ILIN, nn.Linear(2, 1), torch.ones(3, 2), torch.ones(3, 2))


def test_model_inputs_and_random_numbers_are_left_as_they_were() -> None:
    network, other = relu_mlp(3, 4, 2), relu_mlp(3, 4, 2)
    x = torch.randn(2, 3).double().requires_grad_()
    with untouched(network, x):
        linearity(SmoothGrad, network, other, x, target=0)
        input_invariance(SmoothGrad, network, x, 1.0, target=0)
        implementation_invariance(ILIN, network, Negated(network), x, target=0)
