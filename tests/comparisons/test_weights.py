"""The committed weights are those that the files beside them describe."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest
import torch

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from comparisons.__main__ import main
from comparisons.commands import train
from comparisons.models import MODELS, digits
from comparisons.models.network import hash_of
from comparisons.models.trained import WEIGHTS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", digits.SEEDS)
@pytest.mark.parametrize("name", ["digits_cnn", "digits_vit"])
def test_committed_weights_are_those_the_json_describes(name: str, seed: int) -> None:
    facts = json.loads((digits.WEIGHTS / f"{name}_{seed}.json").read_text())
    network = MODELS[name].load(seed)
    assert network.seed == seed == facts["seed"]
    assert network.weights_hash == facts["sha256"]
    _, _, images, labels = digits.split()
    with torch.no_grad():
        accuracy = (network.model(images).argmax(1) == labels).double().mean()
    assert float(accuracy) == pytest.approx(facts["test_accuracy"], abs=5e-3)


@pytest.mark.parametrize("path", sorted(WEIGHTS.glob("*.json")), ids=lambda path: path.stem)
def test_the_recorded_command_trains_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    trainers = {data: partial(ran.append, data) for data in train.trainers()}
    monkeypatch.setattr(train, "trainers", lambda: trainers)
    command = json.loads(path.read_text())["command"].split()
    assert command[:3] == ["python", "-m", "comparisons"]
    assert main(command[3:]) == 0
    (data,) = ran
    assert path.stem.startswith(data.partition("_")[0])


def test_hash_tells_weights_apart() -> None:
    state = digits.cnn().model.state_dict()
    changed = {**state, "0.bias": state["0.bias"] + 1e-7}
    assert hash_of(state) != hash_of(changed)
