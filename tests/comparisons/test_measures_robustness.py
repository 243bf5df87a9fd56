"""The harness's robustness measures on a network of four inputs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from captum_ilin.metrics import max_sensitivity
from comparisons.measures.measure import Case, Value
from comparisons.measures.robustness import MEASURES
from comparisons.methods import METHODS
from comparisons.models.network import Network


@pytest.fixture
def network() -> Network:
    model = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 2)).eval()
    inputs = torch.randn(3, 4)
    return Network("tiny", model, inputs, ["a", "b", "c"], "random", "")


def _values(network: Network, measure: str, method: str, example: int = 1) -> list[Value]:
    case = Case(network, METHODS[method], example, seed=3)
    return list(MEASURES[measure].run(case, **MEASURES[measure].defaults))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("method", ["ILIN", "Saliency", "IG-10", "random", "FullGrad"])
def test_one_number_for_an_example(network: Network, measure: str, method: str) -> None:
    (value,) = _values(network, measure, method)
    assert math.isfinite(value.value)
    assert (value.reason, value.quantity) == (None, "")
    assert _values(network, measure, method) == [value]


def test_the_radius_is_a_part_of_the_range(network: Network) -> None:
    (value,) = _values(network, "max_sensitivity", "ILIN")
    inputs = network.inputs[1:2]
    scores = max_sensitivity(
        METHODS["ILIN"].make(network.setting(1, 3)),
        network.model,
        inputs,
        target=int(network.targets[1]),
        radius=0.02 * float(inputs.max() - inputs.min()),
        seed=3,
    )
    assert value.value == pytest.approx(float(scores.values), rel=1e-5)


def test_a_constant_input_has_no_range(network: Network) -> None:
    network.inputs[1] = 2.0
    (value,) = _values(network, "max_sensitivity", "ILIN")
    assert math.isnan(value.value)
    assert value.reason == "the input is constant, so it has no range to move in"


def test_the_costs_that_a_run_is_estimated_from() -> None:
    parameters = {"n_samples": 4}
    assert [m.attributions(parameters) for m in MEASURES.values()] == [5, 5, 5]
    assert [m.forwards(parameters) for m in MEASURES.values()] == [0, 5, 5]
