"""Which layers are randomised, in which order, and what they get instead."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from captum_ilin.metrics import MetricInputError, randomisable_layers, redraw
from captum_ilin.metrics.randomisation.copied import Copied


class Backwards(nn.Module):
    """Defined in another order than run, with parameters of its own and a head unused."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 2)
        self.unused = nn.Linear(6, 2)
        self.scale = nn.Parameter(torch.ones(6))
        self.body = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(6))
        self.stem = nn.Linear(4, 6)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.scale * self.body(self.stem(inputs)))
        return outputs


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.encoder(inputs).mean(1)
        return outputs


def test_layers_come_in_execution_order_and_unused_ones_not_at_all() -> None:
    model = Backwards().eval()
    assert randomisable_layers(model, torch.randn(1, 4)) == (
        "(model)",
        "stem",
        "body.1",
        "head",
    )
    defined = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    assert defined == ["head", "unused", "stem"]  # what the order of definition would give


@pytest.mark.parametrize("trainable", [True, False])
def test_an_attentions_projection_follows_it(trainable: bool) -> None:
    model = Attentive().eval().requires_grad_(trainable)
    layer = "encoder.layers.0."
    assert randomisable_layers(model, torch.randn(2, 3, 8)) == tuple(
        layer + name
        for name in ("self_attn", "self_attn.out_proj", "norm1", "linear1", "linear2", "norm2")
    )
    assert all(p.requires_grad == trainable for p in model.parameters())


def test_finding_layers_leaves_the_model_alone() -> None:
    model = Backwards()  # in training mode: a forward pass moves the running statistics
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    randomisable_layers(model, torch.randn(4, 4))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_layer_is_redrawn_as_it_began() -> None:
    layer = nn.Linear(400, 300)
    redraw(layer, 7)
    again = nn.Linear(400, 300)
    redraw(again, 7)
    assert torch.equal(layer.weight, again.weight)
    assert torch.equal(layer.bias, again.bias)
    assert layer.weight.abs().max() <= 1 / math.sqrt(400)


def test_raw_parameters_keep_their_scale() -> None:
    class Raw(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = nn.Parameter(torch.randn(1, 200, 300) * 9)
            self.gain = nn.Parameter(torch.ones(200))
            self.bias = nn.Parameter(torch.randn(20_000) * 0.1 + 2)
            self.child = nn.Linear(2, 2)

    raw = Raw()
    child = raw.child.weight.clone()
    redraw(raw, 1)
    deviation = 1 / math.sqrt(3 * 300)
    assert abs(raw.matrix.std() / deviation - 1) < 5 / math.sqrt(2 * 200 * 300)
    assert torch.equal(raw.gain, torch.ones(200))
    assert abs(raw.bias.mean() - 2) < 5 * 0.1 * 2 / math.sqrt(20_000)
    assert abs(raw.bias.std() / 0.1 - 1) < 0.05
    assert torch.equal(raw.child.weight, child)


def test_a_single_value_has_no_deviation_and_stays() -> None:
    module = nn.Module()
    module.register_parameter("scale", nn.Parameter(torch.tensor([2.0])))
    redraw(module, 0)
    assert module.scale.tolist() == [2.0]


def test_a_network_is_redrawn_from_its_trained_values() -> None:
    """Vectors keep their own mean and deviation: those they were trained to."""

    class Gain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.rand(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.gain

    copied = Copied(Gain(), torch.rand(2, 4))
    drawn = []
    for _ in range(2):
        copied.randomise_all(copied.layers, [3])
        drawn.append(copied.module.gain.tolist())
    assert drawn[0] == drawn[1]


def test_an_attention_is_redrawn() -> None:
    attention = nn.MultiheadAttention(8, 2)
    before = attention.in_proj_weight.clone()
    redraw(attention, 1)
    assert not torch.equal(before, attention.in_proj_weight)


def test_batch_norm_is_reset_or_kept() -> None:
    norm = nn.BatchNorm1d(3)
    norm(torch.randn(20, 3) + 5)
    nn.init.constant_(norm.weight, 3.0)
    mean = norm.running_mean
    assert mean is not None
    trained = mean.clone()
    redraw(norm, 1, batch_norm="keep")
    assert torch.equal(mean, trained)
    assert torch.equal(norm.weight, torch.ones(3))
    redraw(norm, 1)
    assert torch.equal(mean, torch.zeros(3))
    with pytest.raises(MetricInputError, match='expected "keep" or "reset", got \'drop\''):
        redraw(norm, 1, batch_norm="drop")  # type: ignore[arg-type]


def test_drawing_leaves_the_generator_alone() -> None:
    calls = (
        partial(redraw, nn.Linear(3, 3), 1),
        partial(redraw, nn.MultiheadAttention(4, 2), 1),
        partial(randomisable_layers, Backwards(), torch.randn(4, 4)),
    )
    for call in calls:
        state = torch.get_rng_state()
        call()
        assert torch.equal(torch.get_rng_state(), state)
