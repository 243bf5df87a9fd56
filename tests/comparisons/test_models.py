"""The comparison's trained networks, certified on their real data."""

from __future__ import annotations

import pytest
import torch
from captum.attr import InputXGradient

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("efficientnet_lite_pytorch", reason="EfficientNet-Lite is not installed")

from captum_ilin import InstanceWiseLinearization, linearize
from comparisons.models import MODELS


@pytest.mark.parametrize("name", MODELS)
def test_trained_networks_are_exact(name: str) -> None:
    network = MODELS[name].first()
    inputs = network.inputs[:2]
    target = network.model(inputs).argmax(1)
    single = linearize(network.model, inputs, strict=True).check()
    assert single.largest_error < 1e-5
    affine_map = linearize(network.model.double(), inputs.double(), strict=True)
    certificate = affine_map.check()
    assert certificate.value_error <= 1e-12
    assert certificate.completeness_error <= 1e-11
    ledger = affine_map.bias_ledger(target)
    bias = affine_map.bias(target).sum()
    assert torch.allclose(sum(t.sum() for t in ledger.values()), bias, rtol=1e-10)


@pytest.mark.parametrize("name", ["digits_cnn", "efficientnet_lite0"])
def test_piecewise_linear_networks_give_input_x_gradient(name: str) -> None:
    network = MODELS[name].first()
    inputs = network.inputs[:1].clone().requires_grad_()
    target = int(network.model(inputs).argmax())
    ours = InstanceWiseLinearization(network.model).attribute(inputs, target=target)
    theirs = InputXGradient(network.model).attribute(inputs, target=target)
    assert (ours - theirs).abs().max() <= 1e-6 * theirs.abs().max()
