"""The command ``geometry``: what it leaves and refuses; its measures by slow definitions."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

matplotlib.use("Agg")

from PIL import Image
from sklearn.metrics import roc_auc_score

from comparisons.__main__ import main
from comparisons.geometry import command
from comparisons.geometry.conditions import (
    CONDITIONS,
    blurred,
    noisy,
    pruned,
    without_contrast,
)
from comparisons.geometry.networks import DATA, perceptron
from comparisons.geometry.prediction import Outcome, areas, interval_of
from comparisons.geometry.reaching import crossing
from comparisons.models import digits
from tests.comparisons.refusals import refusal

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 held-out digits for a moment."""
    monkeypatch.setitem(DATA, "digits", dataclasses.replace(DATA["digits"], images=40))
    monkeypatch.setattr(command, "REACHED", 3)


@pytest.mark.usefixtures("few")
def test_it_leaves_records_tables_pictures_and_says_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["geometry", "--seeds", "1", "--out", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "scikit-learn's 8×8 digits: 1 CNNs, 40 held-out images" in said
    assert "Which images fail: the AUC of the input margin, beside that of the softmax" in said
    rows = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    kinds = ["network", "reach", "shift", "failure", "predictor"]
    # 11 conditions of 3 metrics, 2 of them in both spaces; 5 predictors
    counts = [sum(row["kind"] == kind for row in rows) for kind in kinds]
    assert counts == [1, 2, 39, 11, 55]
    (network,) = (row for row in rows if row["kind"] == "network")
    assert network["cross_entropy_error"] < 1e-12
    assert network["completeness_error"] < 1e-12
    facts = json.loads((tmp_path / "provenance.json").read_text())
    assert (facts["data"], facts["seeds"]) == ("digits", [1])
    for name in ("shifts", "fragile", "prediction"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.width > 500
    assert (tmp_path / "table.md").read_text().count("## ") == 5
    assert (tmp_path / "summary.md").read_text().count("\n- ") == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "digit"], "unknown data 'digit'. Did you mean digits"),
        (["--seeds", "7"], "--seeds takes those whose weights are kept, 0, 1, 2, but got 7."),
    ],
)
def test_it_refuses_before_anything_is_written(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert message in refusal("geometry", arguments, tmp_path, capsys)


def test_pruning_takes_the_smallest_weights_of_a_copy() -> None:
    model = digits.DigitsCNN().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = pruned(model, 0.7)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert sorted(found.state_dict()) == sorted(before)
    kinds = (nn.Conv2d, nn.Linear)
    old, new = (
        torch.cat([m.weight.detach().flatten() for m in net.modules() if isinstance(m, kinds)])
        for net in (model, found)
    )
    assert float((new == 0).double().mean()) == pytest.approx(0.7, abs=1e-4)
    assert torch.equal(new[new != 0], old[new != 0])
    assert float(old[new == 0].abs().max()) <= float(old[new != 0].abs().min())


def test_corruptions_are_their_formulas_and_leave_the_images() -> None:
    images = torch.rand(3, 1, 8, 8).double()
    kept = images.clone()
    noise = noisy(images, 0.2)
    assert torch.equal(noise, noisy(images, 0.2))
    assert float(noise.min()) >= 0
    assert float(noise.max()) <= 1
    flat = without_contrast(images, 0.25)
    torch.testing.assert_close(flat.mean((1, 2, 3)), images.mean((1, 2, 3)))
    torch.testing.assert_close(flat.std((1, 2, 3)), images.std((1, 2, 3)) / 4)
    spot = torch.zeros(1, 1, 9, 9).double()
    spot[0, 0, 4, 4] = 1
    found = blurred(spot, 1.0)[0, 0]
    ratio = float(found[4, 5] / found[4, 4])
    assert ratio == pytest.approx(math.exp(-0.5), rel=1e-3)
    assert torch.equal(images, kept)
    assert len({condition.name for condition in CONDITIONS}) == len(CONDITIONS)


def test_the_area_is_scikit_learn_s_and_its_interval_covers() -> None:
    chance = np.random.default_rng(1)
    score = chance.normal(size=200).round(1)
    counts = chance.random(200) < 0.9
    failed = chance.random(200) < 1 / (1 + np.exp(2 * score))
    outcome = Outcome(counts, failed, score)
    values = areas([outcome, outcome], draws=400)
    expected = roc_auc_score(failed[counts], -score[counts])
    assert values[0] == pytest.approx(expected, rel=1e-12)
    found = interval_of(values)
    assert found.low < expected < found.high
    # each draw is the area of the images it took
    drawn = np.random.default_rng(0).multinomial(200, np.full(200, 1 / 200), 400)[7]
    rows = np.repeat(np.arange(200), drawn)
    rows = rows[counts[rows]]
    assert values[8] == pytest.approx(roc_auc_score(failed[rows], -score[rows]), rel=1e-12)
    none = Outcome(counts, np.zeros(200, dtype=bool), score)
    assert math.isnan(interval_of(areas([none], draws=3)).value)
    assert areas([none, outcome], draws=0)[0] == pytest.approx(expected, rel=1e-12)


def test_a_crossing_is_found_by_evaluation() -> None:
    class Steps(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([x[:, 0] * 0, (x[:, 0] - 0.7) * (2.3 - x[:, 0])], 1)

    place, step = torch.zeros(1, 1).double(), torch.ones(1, 1).double()
    assert crossing(Steps(), place, step) == pytest.approx(0.7, abs=1e-8)
    assert crossing(Steps(), place, -step) == math.inf


def test_the_small_network_is_determined_by_its_seed() -> None:
    images, labels = torch.rand(50, 1, 4, 4), torch.randint(3, (50,))
    state = torch.get_rng_state()
    one, same, other = (perceptron(images, labels, 3, seed)(images) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
