"""What Captum builds on a method works on ours: noise tunnel, metrics, visualization."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from captum.attr import (
    FeatureAblation,
    InputXGradient,
    IntegratedGradients,
    NoiseTunnel,
    Saliency,
    visualization,
)
from captum.metrics import infidelity, infidelity_perturb_func_decorator, sensitivity_max
from torch import Tensor, nn

from captum_ilin import ILIN, frozen, linearize
from tests.networks import ConvNet, TinyTransformer, relu_mlp, smooth_mlp

ROUNDING = {"rtol": 1e-11, "atol": 1e-12}
BATCH = 4


@pytest.fixture
def x() -> Tensor:
    return torch.randn(BATCH, 3, dtype=torch.float64)


def test_noise_tunnel_without_noise_changes_nothing(x: Tensor) -> None:
    method = ILIN(smooth_mlp())
    smoothed = NoiseTunnel(method).attribute(x, nt_samples=3, stdevs=0.0, target=[0, 1, 2, 3])
    torch.testing.assert_close(smoothed, method.attribute(x, target=[0, 1, 2, 3]), **ROUNDING)


class Recording(ILIN):
    """Our method, and the inputs it was asked about."""

    def attribute(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        self.asked = inputs.detach().clone()
        return super().attribute(inputs, *args, **kwargs)

    attribute.__wrapped__ = attribute


def test_noise_tunnel_averages_over_the_noisy_inputs(x: Tensor) -> None:
    method = Recording(smooth_mlp())
    smoothed = NoiseTunnel(method).attribute(x, nt_samples=5, stdevs=0.3, target=1)
    assert (method.asked - x.repeat_interleave(5, 0)).abs().min() > 0
    each = ILIN(method.forward_func).attribute(method.asked, target=1)
    torch.testing.assert_close(smoothed, each.reshape(BATCH, 5, 3).mean(1), **ROUNDING)


@pytest.mark.parametrize("samples_at_once", [None, 2])
def test_noise_tunnel_returns_one_delta_for_each_sample(
    x: Tensor, samples_at_once: Any
) -> None:
    smoothed, delta = NoiseTunnel(ILIN(smooth_mlp())).attribute(
        x,
        nt_samples=6,
        nt_samples_batch_size=samples_at_once,
        target=1,
        return_convergence_delta=True,
    )
    assert smoothed.shape == x.shape
    assert delta.shape == (BATCH * 6,)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


def infidelity_of(forward: nn.Module, x: Tensor, multiplied: bool, flag: bool) -> Tensor:
    """Of W∘x (``multiplied``) or W, with steps far too small to leave the linear region."""

    @infidelity_perturb_func_decorator(multiply_by_inputs=flag)
    def perturb(inputs: Tensor) -> Tensor:
        return inputs - 1e-6 * torch.randn_like(inputs)

    attributions = ILIN(forward, multiply_by_inputs=multiplied).attribute(x, target=1)
    errors = infidelity(forward, perturb, x, attributions, target=1, n_perturb_samples=8)
    return errors / 1e-12  # per squared size of the step


@pytest.mark.parametrize("multiplied", [True, False], ids=["W∘x", "W"])
def test_infidelity_vanishes_with_the_right_flag_only(x: Tensor, multiplied: bool) -> None:
    network = relu_mlp(3, 8, 6, 2)
    right = infidelity_of(network, x, multiplied, flag=multiplied)
    wrong = infidelity_of(network, x, multiplied, flag=not multiplied)
    assert right.max() < 1e-12
    assert wrong.min() > 1e-4


def test_infidelity_is_that_of_a_gradient_on_piecewise_linear_networks(x: Tensor) -> None:
    """Normalised, too: the scale Captum fits is 1."""
    network = relu_mlp(3, 8, 6, 2)
    attributions = ILIN(network).attribute(x, target=1)

    @infidelity_perturb_func_decorator(multiply_by_inputs=True)
    def perturb(inputs: Tensor) -> Tensor:
        return inputs - 1e-6 * torch.randn_like(inputs)

    doubled = infidelity(network, perturb, x, 2 * attributions, target=1) / 1e-12
    assert doubled.min() > 1e-6
    normalised = infidelity(network, perturb, x, 2 * attributions, target=1, normalize=True)
    assert (normalised / 1e-12).max() < 1e-12


def test_sensitivity_is_that_of_the_attributions(x: Tensor) -> None:
    def step(inputs: Tensor, perturb_radius: float) -> Tensor:
        return inputs + perturb_radius

    method = ILIN(relu_mlp(3, 8, 2))
    measured = sensitivity_max(
        method.attribute, x, step, perturb_radius=0.02, n_perturb_samples=1, target=1
    )
    before, after = method.attribute(x, target=1), method.attribute(x + 0.02, target=1)
    expected = (after - before).norm(dim=1) / before.norm(dim=1)
    torch.testing.assert_close(measured, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (smooth_mlp, (3,)),
        (lambda: ConvNet(), (3, 12, 12)),
        (lambda: TinyTransformer(batch_first=True), (5, 8)),
    ],
    ids=["mlp", "convnet", "transformer"],
)
def test_input_x_gradient_of_the_frozen_network_is_ours(network: Any, shape: Any) -> None:
    model, x = network(), torch.randn(2, *shape, dtype=torch.float64)
    ours = ILIN(model).attribute(x, target=1)
    theirs = InputXGradient(frozen(model)).attribute(x.clone().requires_grad_(), target=1)
    torch.testing.assert_close(theirs, ours, **ROUNDING)


def test_saliency_of_the_frozen_network_is_the_size_of_its_weight(x: Tensor) -> None:
    model = smooth_mlp()
    ours = linearize(model, x).weight(target=2)
    theirs = Saliency(frozen(model)).attribute(x.clone().requires_grad_(), target=2)
    torch.testing.assert_close(theirs, ours.abs(), **ROUNDING)


def test_integrated_gradients_of_the_frozen_network_averages_its_weights(x: Tensor) -> None:
    """Each step is frozen at its own input: the mean of W along the path, times x."""
    model, steps = smooth_mlp(), 4
    integrated = IntegratedGradients(frozen(model)).attribute(
        x, target=1, n_steps=steps, method="riemann_middle"
    )
    weights = [linearize(model, x * (k + 0.5) / steps).weight(1) for k in range(steps)]
    torch.testing.assert_close(integrated, x * torch.stack(weights).mean(0), **ROUNDING)


def test_feature_ablation_of_the_frozen_network_is_that_of_the_network(x: Tensor) -> None:
    """Freezing keeps values, so a method that reads values alone sees no difference."""
    model = smooth_mlp()
    frozen_ones = FeatureAblation(frozen(model)).attribute(x, target=1)
    torch.testing.assert_close(
        frozen_ones, FeatureAblation(model).attribute(x, target=1), **ROUNDING
    )


def test_visualization_draws_our_attributions() -> None:
    image = torch.randn(1, 3, 12, 12, dtype=torch.float64)
    attributions = ILIN(ConvNet()).attribute(image, target=0)
    drawn = attributions[0].permute(1, 2, 0).numpy()
    figure, axes = visualization.visualize_image_attr(
        drawn, sign="all", method="heat_map", use_pyplot=False
    )
    shown = axes.images[0].get_array()
    expected = drawn.sum(2)
    assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.9
    plt.close(figure)
