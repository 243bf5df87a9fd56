"""Image classifiers with max pooling between two points, without a model-specific line."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from captum_ilin import linearize
from comparisons.models.vision import torchvision_models

SIZES = {  # of the image; the two largest need as much for their last pooling
    **dict.fromkeys(("vgg11_bn", "resnet18", "googlenet", "densenet121", "squeezenet1_1"), 64),
    "alexnet": 96,
    "inception_v3": 128,
}
CLOSES = 1e-12


def network(name: str) -> nn.Module:
    """Random weights that keep the size of activations, and random statistics."""
    models = torchvision_models()
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    made: Any = getattr(models, name)(weights=None, **options).double().eval()
    for module in made.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return made


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated")
@pytest.mark.parametrize("name", SIZES)
def test_the_sum_closes(name: str) -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    torch.manual_seed(0)
    model = network(name)
    x, baseline = torch.randn(2, 2, 3, SIZES[name], SIZES[name], dtype=torch.float64)
    affine_map = linearize(model, x, baselines=baseline)
    change = (model(x) - model(baseline)).detach()
    target = int(change.abs().amin(0).argmax())
    explained = (affine_map.weight(target) * (x - baseline)).flatten(1).sum(1)
    change = change[:, target]
    assert ((explained - change).abs() <= CLOSES * change.abs()).all()
    assert not affine_map.freezing.reports.unregistered
