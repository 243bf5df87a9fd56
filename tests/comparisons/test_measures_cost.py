"""The harness's cost measure on a network of four inputs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from comparisons.measures.cost import MEASURES
from comparisons.measures.measure import Case, Value
from comparisons.methods import METHODS
from comparisons.models.network import Network


def _values(method: str, example: int) -> dict[str, Value]:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    network = Network("tiny", model, torch.randn(2, 4), ["a", "b"], "random", "")
    case = Case(network, METHODS[method], example, seed=0)
    return {value.quantity: value for value in MEASURES["cost"].run(case, repeats=1)}


FORWARD_ONLY = {"random", "input_only", "constant"}
PASSES = {
    **{name: (method.passes, method.passes) for name, method in METHODS.items()},
    **dict.fromkeys(("LRP", "ILIN-reference"), (2, 1)),
    "FullGrad": (1, 2),  # once for W and once for the ledger
    "Occlusion": (5, 0),  # each of the four inputs, and none
    **dict.fromkeys(FORWARD_ONLY, (0, 0)),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_counted(name: str) -> None:
    found = _values(name, 0)
    assert (found["forwards"].value, found["backwards"].value) == PASSES[name]
    assert all(math.isfinite(value.value) for value in found.values())


def test_memory_is_measured_on_the_first_example() -> None:
    assert _values("ILIN", 0)["peak_bytes"].value > 0
    later = _values("ILIN", 1)["peak_bytes"]
    assert math.isnan(later.value)
    assert "first example only" in str(later.reason)
