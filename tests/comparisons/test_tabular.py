"""The networks for tables: the committed weights, and what a network says of itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from comparisons.models import tabular

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", tabular.SEEDS)
@pytest.mark.parametrize("name", tabular.MODELS)
def test_committed_weights_are_those_the_json_describes(name: str, seed: int) -> None:
    facts = json.loads((tabular.WEIGHTS / f"{name}_{seed}.json").read_text())
    network = tabular.MODELS[name].load(seed)
    assert network.weights_hash == facts["sha256"]
    assert network.seed == seed == facts["seed"]
    split = tabular._split()
    with torch.no_grad():
        right = network.model(split.test_inputs).argmax(1) == split.test_classes
    # one of the 143 test tumours may fall the other way in another build of torch
    assert float(right.double().mean()) == pytest.approx(facts["test_accuracy"], abs=1 / 140)
    assert facts["test_accuracy"] > 0.94


def test_seeds_give_different_networks() -> None:
    hashes = {
        model.load(seed).weights_hash
        for model in tabular.MODELS.values()
        for seed in model.seeds
    }
    assert len(hashes) == 6


def test_zero_is_the_mean_tumour_and_a_sample_is_not() -> None:
    network = tabular.relu()
    split = tabular._split()
    # float32 sums of 426 values of magnitude 1
    assert float(split.train_inputs.mean(0).abs().max()) < 426 * 2**-24
    sample = network.baseline("sample", 3)
    assert sample.shape == (1, 30)
    assert float(sample.std()) > 0.1
    assert len(network.feature_names) == 30
    assert network.feature_names[0] == "mean radius"
    assert set(network.labels) == {"malignant", "benign"}


def test_training_again_gives_the_committed_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = tabular._split().test_inputs
    committed = [model.load(0).model(inputs).argmax(1) for model in tabular.MODELS.values()]
    monkeypatch.setattr(tabular, "WEIGHTS", tmp_path)
    tabular.train(seeds=(0,))
    again = [model.load(0).model(inputs).argmax(1) for model in tabular.MODELS.values()]
    for one, other in zip(committed, again, strict=True):
        # another processor rounds otherwise, and a tumour at the border may change sides
        assert int((one != other).sum()) <= 2
