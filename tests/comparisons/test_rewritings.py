"""Rewritings compute the model's own function, in another way."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from comparisons.measures.rewritings import Padded, Rolled, Split, rescaled, threshold_of
from tests.fingerprint import untouched


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3)).eval()


def convolutional() -> nn.Module:
    norm = nn.BatchNorm2d(4)
    nn.init.normal_(norm.running_mean)
    nn.init.normal_(norm.bias)
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), norm, nn.LeakyReLU(), nn.Conv2d(4, 6, 2, bias=False)),
        *(nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 4, 3)),
    ).eval()


NETWORKS = {"dense": (dense, (4, 5)), "convolutional": (convolutional, (4, 1, 7, 7))}


@pytest.mark.parametrize("name", NETWORKS)
def test_rescaled_units_change_weights_and_no_bit_of_the_output(name: str) -> None:
    build, shape = NETWORKS[name]
    model, x = build(), torch.randn(shape)
    with untouched(model, x):
        twin = rescaled(model, seed=1)
    assert twin is not None
    changed = [
        not torch.equal(old, new)
        for old, new in zip(model.parameters(), twin.parameters(), strict=True)
    ]
    assert sum(changed) >= len(changed) - 3
    assert torch.equal(twin(x), model(x))


@pytest.mark.parametrize(
    "model",
    [
        nn.Linear(3, 2),
        nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)),
        nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Linear(4, 2)),
        nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1, groups=2)),
        nn.Sequential(*[nn.Linear(4, 4), nn.ReLU()] * 2, nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)),
    ],
)
def test_what_cannot_be_rescaled_is_not(model: nn.Module) -> None:
    assert rescaled(model) is None


def test_a_split_input_is_the_input() -> None:
    model, x = dense().double(), torch.randn(4, 5).double()
    split = Split(model, threshold_of(x))
    assert torch.allclose(split(x), model(x), atol=1e-14)
    assert not split.training
    gradient = torch.autograd.functional.jacobian(split, x)
    assert torch.allclose(gradient, torch.autograd.functional.jacobian(model, x), atol=1e-14)


@pytest.mark.parametrize(
    ("values", "threshold"), [([0.0, 0.0, 1.0], 0.5), ([2.0, 2.0], 3.0), ([0.0, 1.0, 5.0], 3.0)]
)
def test_no_value_stands_at_the_threshold(values: list[float], threshold: float) -> None:
    assert threshold_of(torch.tensor(values)) == threshold


def test_padding_is_not_read_and_outputs_are_rolled() -> None:
    model, x = dense(), torch.randn(4, 5)
    assert torch.equal(Padded(model, 5)(torch.cat([x, torch.randn(4, 5)], 1)), model(x))
    rolled = Rolled(model)
    assert torch.equal(rolled(x)[:, 1:], model(x)[:, :-1])
    assert rolled.model is not model
