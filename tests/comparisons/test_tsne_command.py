"""The command ``tsne``: what it leaves, what it says, what it refuses; and the weights."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import matplotlib
import pytest
import torch
from PIL import Image

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

matplotlib.use("Agg")

from comparisons.__main__ import main
from comparisons.embedding import Schedule, command, figures, measuring
from comparisons.models import MODELS, tsne
from comparisons.models.network import hash_of
from tests.comparisons.refusals import refusal

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [(name, seed) for name, embedder in tsne.ENCODERS.items() for seed in embedder.seeds]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 digits to train on and 40 held out, for a moment."""
    whole = tsne.digit_points()

    def points() -> object:
        return whole._replace(
            train=whole.train[:60],
            train_labels=whole.train_labels[:60],
            test=whole.test[:40],
            test_labels=whole.test_labels[:40],
        )

    embedder = tsne.ENCODERS["tsne_digits"]
    short = replace(embedder, points=points, schedule=Schedule(perplexity=5.0, epochs=8))
    monkeypatch.setitem(command.ENCODERS, "tsne_digits", short)
    monkeypatch.setattr(measuring, "PAIRS", 4)
    monkeypatch.setattr(measuring, "MOVED", 2)
    monkeypatch.setattr(figures, "GRID", (0.5, 2.0))


@pytest.mark.usefixtures("few")
def test_it_leaves_records_tables_pictures_and_says_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    arguments = ["tsne", "--seeds", "0", "7", "--perplexity", "5", "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert torch.get_num_threads() == threads
    said = " ".join(capsys.readouterr().out.split())
    assert "scikit-learn's t-SNE has no place for points that it was not given" in said
    rows = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    kinds = {kind: sum(row["kind"] == kind for row in rows) for kind in command.KINDS}
    # maps: 2 encoders, 2 t-SNE together, PCA, pixels, of both; 2 t-SNE of training points
    assert kinds == {"preservation": 14, "encoder": 2, "class": 20, "pair": 16, "move": 8}
    trained = [row for row in rows if row["kind"] == "encoder"]
    committed = tsne.MODELS["tsne_digits"].load(0).weights_hash
    assert trained[0]["weights"] == committed != trained[1]["weights"]
    assert max(row["inside"] for row in rows if row["kind"] == "move") < 1e-12
    facts = json.loads((tmp_path / "provenance.json").read_text())
    assert (facts["data"], facts["seeds"], facts["neighbours"]) == ("digits", [0, 7], 10)
    for kind in kinds:
        lines = (tmp_path / f"{kind}.csv").read_text().splitlines()
        assert len(lines) == kinds[kind] + 1
    for name in ("embedding", "pair", "moves"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.width > 500
    assert (tmp_path / "table.md").read_text().count("## ") == 4
    assert (tmp_path / "summary.md").read_text().count("\n- ") == 6


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--perplexity", "60"], "Expected a perplexity below 59, got 60: it asks for 60"),
        (["--perplexity", "0.5"], "Expected a perplexity above 1, got 0.5"),
        (["--neighbours", "25"], "Expected from 1 to 19 neighbours, got 25: of 40 points"),
        (["--data", "digit"], "unknown data 'digit'. Did you mean digits"),
        (["--data", "cars"], "unknown data 'cars'. Known: digits, fashion, mnist."),
    ],
)
def test_it_refuses_before_anything_is_written(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert message in refusal("tsne", arguments, tmp_path, capsys)


@pytest.mark.parametrize(("name", "seed"), NAMES)
def test_committed_weights_are_those_the_json_describes(name: str, seed: int) -> None:
    facts = json.loads((tsne.WEIGHTS / f"{name}_{seed}.json").read_text())
    network = MODELS[name].load(seed)
    assert network.weights_hash == hash_of(network.model.state_dict()) == facts["sha256"]
    assert network.seed == seed == facts["seed"]
    assert {key: facts[key] for key in ("perplexity", "epochs", "batch")} == {
        key: getattr(tsne.ENCODERS[name].schedule, key)
        for key in ("perplexity", "epochs", "batch")
    }
    assert network.targets.tolist() == [0, 1] * tsne.EXAMPLES
    assert network.labels[0].endswith(", axis 1")
    assert torch.equal(network.inputs[0], network.inputs[1])
    assert f"{facts['test_accuracy']:.1%}" in network.description


@pytest.mark.parametrize("name", ["tsne_digits", "tsne_digits_gelu"])
def test_committed_encoders_place_held_out_digits_as_their_json_says(name: str) -> None:
    embedder, points = tsne.ENCODERS[name], tsne.digit_points()
    facts = json.loads((tsne.WEIGHTS / f"{name}_0.json").read_text())
    accuracy = tsne._accuracy(tsne.restored(embedder, 0), points)
    # of 450 digits a few between two clusters may vote otherwise in another build of torch
    assert accuracy == pytest.approx(facts["test_accuracy"], abs=3 / 450)


def test_training_is_determined_by_the_seed() -> None:
    embedder, images = tsne.ENCODERS["tsne_digits"], tsne.digit_points().train[:80]
    short = Schedule(perplexity=5.0, epochs=5)
    state = torch.get_rng_state()
    first, again, other = (
        tsne.trained(embedder, images, short, seed)[0].state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert hash_of(first) == hash_of(again) != hash_of(other)


def test_representatives_are_the_points_nearest_to_their_class_s_medians() -> None:
    coordinates = torch.tensor([[0.0, 0], [1, 1], [9, 9], [5, 5], [6, 5], [9, 5.0]]).numpy()
    labels = torch.tensor([0, 0, 0, 1, 1, 1]).numpy()
    assert figures.representatives(coordinates, labels) == [1, 4]
