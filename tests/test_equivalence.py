"""Where other methods have the same answer: ReLU networks, and tables of tangents."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LRP, InputXGradient
from torch import Tensor, nn

from captum_ilin import DEFAULT_RULES, ILIN, TANGENT_RULES, linearize
from tests.networks import (
    ConvNet,
    TinyTransformer,
    calibrate,
    relu_mlp,
    residual_convnet,
    smooth_mlp,
)

IMAGE = (3, 12, 12)


class SequentialConvNet(nn.Module):
    """Every module used once and each known to captum's LRP."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(6, 5, 2),
            nn.ReLU(),
            nn.AvgPool2d(3),
        )
        self.head = nn.Linear(5, 4)
        calibrate(self, torch.randn(16, *IMAGE))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(1))


class FunctionalConvNet(nn.Module):
    """The same ops as functions and methods."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3), nn.Linear(150, 4)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.leaky_relu(self.conv(x), 0.1), 2)
        return self.head(x.flatten(1).clamp(min=-0.2).relu())


RELU_NETWORKS = {
    "mlp": (lambda: relu_mlp(3, 8, 8, 4), (3,)),
    "convnet": (ConvNet, IMAGE),
    "sequential convnet": (SequentialConvNet, IMAGE),
    "residual convnet": (residual_convnet, IMAGE),
    "functional convnet": (FunctionalConvNet, IMAGE),
}


def inputs_of(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(3, *shape, dtype=dtype)


@pytest.mark.parametrize("rules", [DEFAULT_RULES, TANGENT_RULES], ids=lambda rules: rules.name)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-6)]
)
@pytest.mark.parametrize("name", RELU_NETWORKS)
def test_relu_networks_give_input_x_gradient(
    name: str, dtype: torch.dtype, tolerance: float, rules: Any
) -> None:
    make, shape = RELU_NETWORKS[name]
    network, x = make().to(dtype), inputs_of(shape, dtype)
    ours = ILIN(network, rules=rules).attribute(x, target=[0, 1, 3])
    theirs = InputXGradient(network).attribute(x.clone().requires_grad_(), target=[0, 1, 3])
    torch.testing.assert_close(ours, theirs.detach(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["mlp", "sequential convnet"])
def test_relu_networks_give_layerwise_relevance_propagation(name: str) -> None:
    """Captum's default rule, on the networks it can do; its epsilon is 1e-9."""
    make, shape = RELU_NETWORKS[name]
    network, x = make(), inputs_of(shape)
    ours = ILIN(network).attribute(x, target=2)
    theirs = LRP(network).attribute(x.clone().requires_grad_(), target=2)
    torch.testing.assert_close(ours, theirs.detach(), rtol=0, atol=1e-6)


class SwiGlu(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(3)
        self.gate, self.up, self.down = nn.Linear(3, 6), nn.Linear(3, 6), nn.Linear(6, 4)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return self.down(F.silu(self.gate(x)) * self.up(x)).softmax(-1)


SMOOTH_NETWORKS = {
    "gelu": (smooth_mlp, (3,)),
    "swiglu": (SwiGlu, (3,)),
    "transformer": (lambda: TinyTransformer(batch_first=True), (5, 8)),
    "sequence-first transformer": (lambda: TinyTransformer(batch_first=False), (5, 8)),
}


def jacobian_rows(network: nn.Module, x: Tensor) -> Tensor:
    """(batch, out, *features) of the plain network, one row at a time."""
    with torch.enable_grad():
        return torch.stack(
            [torch.autograd.functional.jacobian(network, row[None])[0, :, 0] for row in x]
        )


@pytest.mark.parametrize("name", SMOOTH_NETWORKS)
def test_tangents_give_the_jacobian(name: str) -> None:
    make, shape = SMOOTH_NETWORKS[name]
    network, x = make(), inputs_of(shape)
    affine_map = linearize(network, x, rules=TANGENT_RULES, strict=True)
    jacobian = jacobian_rows(network, x)
    torch.testing.assert_close(affine_map.weight(), jacobian, rtol=1e-11, atol=1e-13)
    through_inputs = (jacobian * x[:, None]).flatten(2).sum(2)
    intercept = network(x).detach() - through_inputs
    torch.testing.assert_close(affine_map.bias(), intercept, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", SMOOTH_NETWORKS)
def test_the_default_rules_are_another_choice(name: str) -> None:
    """Beyond ReLU the two tables differ: equal answers would mean nothing was held."""
    make, shape = SMOOTH_NETWORKS[name]
    network, x = make(), inputs_of(shape)
    weight = linearize(network, x, strict=True).weight()
    assert (weight - jacobian_rows(network, x)).abs().max() > 1e-4
