"""Half precision and autocast: exact up to the rounding of the type that is computed in."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import DEFAULT_RULES, ILIN, NotExactError, linearize
from captum_ilin.certificate import tolerance_for
from tests.networks import ConvNet, TinyTransformer

HALVES = [torch.bfloat16, torch.float16]
UNIT = {torch.bfloat16: 2**-8, torch.float16: 2**-11}


class Decoder(nn.Module):
    """Root mean square norms, causal attention and a gated layer, twice, without biases."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm": nn.RMSNorm(width),
                    "qkv": nn.Linear(width, 3 * width, bias=False),
                    "out": nn.Linear(width, width, bias=False),
                    "gate": nn.Linear(width, 2 * width, bias=False),
                    "up": nn.Linear(width, 2 * width, bias=False),
                    "down": nn.Linear(2 * width, width, bias=False),
                }
            )
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            q, k, v = layer["qkv"](layer["norm"](x)).chunk(3, -1)
            x = x + layer["out"](F.scaled_dot_product_attention(q, k, v, is_causal=True))
            z = layer["norm"](x)
            x = x + layer["down"](F.silu(layer["gate"](z)) * layer["up"](z))
        return x[:, -1]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(8, 6, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.gru(x)[0][:, -1]


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        y += 1
        return y.mean(1)


NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "convnet": (ConvNet, (3, 12, 12)),
    "transformer": (lambda: TinyTransformer(batch_first=True), (5, 8)),
    "decoder": (Decoder, (6, 16)),
    "recurrent": (Recurrent, (5, 8)),
    "in place": (InPlace, (5, 8)),
}


def network_and_input(name: str) -> tuple[nn.Module, Tensor]:
    make, shape = NETWORKS[name]
    return make().float().eval(), torch.randn(2, *shape)


def error_of(network: nn.Module, x: Tensor, weight: Any, bias: Tensor) -> tuple[float, float]:
    """W x + b of one output, and W, against the same network in float64, relative."""
    exact = linearize(copy.deepcopy(network).double(), x.double())
    value, slope = exact.outputs[:, 0], exact.weight(0)
    assert isinstance(slope, Tensor)
    total = (weight.double() * x.double()).flatten(1).sum(1) + bias.double()
    size = (slope * x).abs().flatten(1).sum(1) + value.abs()
    return (
        float(((total - value).abs() / size).max()),
        float((weight.double() - slope).norm() / slope.norm()),
    )


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_model_in_half_precision(name: str, dtype: torch.dtype) -> None:
    network, x = network_and_input(name)
    point = x.to(dtype)
    affine_map = linearize(copy.deepcopy(network).to(dtype), point)
    certificate = affine_map.check()
    assert certificate.precision == certificate.dtype == dtype
    assert certificate.affinity_error == 0
    total_error, _ = error_of(network, point.float(), affine_map.weight(0), affine_map.bias(0))
    assert total_error <= 8 * UNIT[dtype]


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("where", ["around", "inside"])
@pytest.mark.parametrize("name", NETWORKS)
def test_autocast(name: str, where: str, dtype: torch.dtype) -> None:
    network, x = network_and_input(name)

    def inside(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype):
            return network(x)

    with torch.autocast("cpu", dtype, enabled=where == "around"):
        affine_map = linearize(network if where == "around" else inside, x)
    certificate = affine_map.check()
    assert certificate.precision == dtype
    assert certificate.affinity_error == 0
    total_error, _ = error_of(network, x, affine_map.weight(0), affine_map.bias(0))
    assert total_error <= 8 * UNIT[dtype]


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_asked_for_later_does_not_depend_on_the_callers_autocast(
    name: str, dtype: torch.dtype
) -> None:
    network, x = network_and_input(name)
    with torch.autocast("cpu", dtype):
        affine_map = linearize(network, x)
        under = affine_map.weight(0), affine_map.bias(0), affine_map.check()
    later = affine_map.weight(0), affine_map.bias(0), affine_map.check()
    torch.testing.assert_close(under[:2], later[:2], rtol=0, atol=0)
    assert under[2] == later[2]
    plain = linearize(network, x)
    with torch.autocast("cpu", dtype):
        assert plain.check().precision == torch.float32


def test_attribute_under_autocast_is_complete() -> None:
    network, x = network_and_input("transformer")
    with torch.autocast("cpu", torch.bfloat16):
        attributions, delta, bias = ILIN(network).attribute(
            x, 1, return_convergence_delta=True, return_bias=True
        )
        assert network(x).dtype == torch.bfloat16
    assert attributions.dtype == torch.float32
    assert float((delta.abs() / (attributions.abs().flatten(1).sum(1) + bias.abs())).max()) < (
        4 * UNIT[torch.bfloat16]
    )


def test_autocast_keeps_no_weights_of_ours() -> None:
    """Its cache of cast weights belongs to the caller's own passes."""
    layer, x = nn.Linear(3, 4), torch.randn(2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        linearize(layer, x).bias(0)
        with torch.no_grad():
            layer.weight.mul_(2)
        assert torch.equal(layer(x), F.linear(x, layer.weight.detach(), layer.bias.detach()))
        layer(x).sum().backward()
    assert layer.weight.grad is not None


def test_half_precision_inside_a_wider_output_bounds_the_tolerance() -> None:
    """As of language models, which return their logits in float32."""
    network = ConvNet().bfloat16().eval()
    affine_map = linearize(lambda x: network(x).float(), torch.randn(2, 3, 12, 12).bfloat16())
    certificate = affine_map.check()
    assert certificate.dtype == torch.float32
    assert certificate.precision == torch.bfloat16


def test_the_tolerance_is_sixteen_units_of_rounding() -> None:
    assert tolerance_for(torch.bfloat16) == 16 * UNIT[torch.bfloat16] == 0.0625
    assert tolerance_for(torch.float16) == 16 * UNIT[torch.float16] == 0.0078125


@pytest.mark.parametrize("dtype", HALVES)
def test_the_tolerance_is_not_met_by_a_map_that_is_wrong(dtype: torch.dtype) -> None:
    """A rule that loses a tenth of each activation."""
    network, x = network_and_input("transformer")

    def short(input: Tensor, approximate: str = "none") -> Tensor:
        return 0.5 * input

    rules = DEFAULT_RULES | {F.gelu: short, F.relu: short}
    with pytest.raises(NotExactError, match="The affine map is not exact"):
        linearize(network.to(dtype), x.to(dtype), rules=rules).check()
