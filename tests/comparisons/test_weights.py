"""The committed weights are those that the files beside them describe."""

from __future__ import annotations

import json

import pytest
import torch

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from comparisons.models import MODELS, digits
from comparisons.models.network import hash_of


@pytest.mark.parametrize("seed", digits.SEEDS)
@pytest.mark.parametrize("name", ["digits_cnn", "digits_vit"])
def test_committed_weights_are_those_the_json_describes(name: str, seed: int) -> None:
    facts = json.loads((digits.WEIGHTS / f"{name}_{seed}.json").read_text())
    network = MODELS[name].load(seed)
    assert network.seed == seed == facts["seed"]
    assert network.weights_hash == facts["sha256"]
    _, _, images, labels = digits._data()
    with torch.no_grad():
        accuracy = (network.model(images).argmax(1) == labels).double().mean()
    assert float(accuracy) == pytest.approx(facts["test_accuracy"], abs=5e-3)


def test_hash_tells_weights_apart() -> None:
    state = digits.cnn().model.state_dict()
    changed = {**state, "0.bias": state["0.bias"] + 1e-7}
    assert hash_of(state) != hash_of(changed)
