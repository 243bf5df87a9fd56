"""The command ``representer``: what it leaves and refuses; its measures by slow definitions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import matplotlib
import pytest
import torch
from torch.utils.data import TensorDataset

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

matplotlib.use("Agg")

from PIL import Image

from comparisons.__main__ import main
from comparisons.models.network import hash_of
from comparisons.models.tsne_data import digit_points
from comparisons.representer import command, sharing, timing
from comparisons.representer.captums import influence_function, tracin
from comparisons.representer.detection import CHECKED, Trained, area, found_at
from comparisons.representer.likeness import static_of
from comparisons.representer.statements import margins
from comparisons.representer.training import flip, snapshots
from tests.comparisons.refusals import refusal

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """120 digits to train on and 30 held out, for a moment."""
    whole = digit_points()

    def points() -> object:
        return whole._replace(
            train=whole.train[:120],
            train_labels=whole.train_labels[:120],
            test=whole.test[:30],
            test_labels=whole.test_labels[:30],
        )

    monkeypatch.setitem(command.DATA, "digits", points)
    monkeypatch.setattr(timing, "REPEATS", 2)
    monkeypatch.setattr(timing, "IMAGES", (1, 4))
    monkeypatch.setattr(sharing, "IMAGES", 3)


@pytest.mark.usefixtures("few")
def test_it_leaves_records_tables_pictures_and_says_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--seeds", "3", "--flipped", "0.25", "--epochs", "2", "--out", str(tmp_path)]
    assert main(["representer", *arguments]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "1 networks, trained on 120 labels of which 25 % to 25 % are flipped" in said
    assert "Rankings are static: the share of" in said
    rows = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    kinds = {kind: sum(row["kind"] == kind for row in rows) for kind in sorted(KINDS)}
    # of 5 rivals and 2 readings of 3 λ; of 3 λ and 2 targets; of 3 λ and TracInCPFast
    assert kinds == dict(zip(sorted(KINDS), (11, 2, 6, 1, 4, 6), strict=True))
    detections = [row for row in rows if row["kind"] == "detection"]
    assert all(row["found"][-1] == 1 for row in detections)
    refits = [row for row in rows if row["kind"] == "refit"]
    assert max(max(row["identity"], row["test_identity"]) for row in refits) < 1e-6
    (share,) = (row for row in rows if row["kind"] == "share")
    assert share["votes"] == 15
    assert share["completeness_error"] < 1e-8
    facts = json.loads((tmp_path / "provenance.json").read_text())
    assert (facts["data"], facts["seeds"], facts["flipped"]) == ("digits", [3], [0.25])
    for name in ("detection", "votes"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.width > 500
    assert (tmp_path / "table.md").read_text().count("## ") == 6
    assert (tmp_path / "summary.md").read_text().count("\n- ") == 12


KINDS = ("detection", "network", "refit", "share", "static", "time")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "digit"], "unknown data 'digit'. Did you mean digits"),
        (
            ["--flipped", "1.5"],
            "--flipped takes shares of the labels, above 0 and below 1, but",
        ),
        (["--flipped", "0"], "above 0 and below 1, but got 0."),
        (["--epochs", "0"], "--epochs takes numbers from 1, but got 0."),
    ],
)
def test_it_refuses_before_anything_is_written(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert message in refusal("representer", arguments, tmp_path, capsys)


def test_area_and_found_count_one_example_after_another() -> None:
    order = torch.randperm(60)
    are_wrong = torch.rand(60) < 0.3
    found, seen = [], 0
    for example in order.tolist():
        seen += bool(are_wrong[example])
        found.append(seen / int(are_wrong.sum()))
    assert area(order, are_wrong) == pytest.approx(sum(found) / 60)
    assert found_at(order, are_wrong) == pytest.approx(
        [found[round(share * 60) - 1] for share in CHECKED]
    )
    first = are_wrong.double().argsort(descending=True, stable=True)
    assert area(first, are_wrong) > area(order, are_wrong) > area(first.flip(0), are_wrong)


def test_static_counts_are_those_of_loops() -> None:
    voters = torch.tensor([[1, 2, 3], [1, 3, 2], [4, 1, 2], [9, 8, 7], [8, 9, 7], [8, 9, 6]])
    predicted = torch.tensor([0, 0, 0, 5, 5, 5])
    found = static_of(2, "votes", voters, predicted)
    assert found.same_first == pytest.approx((2 + 2) / 6)
    assert found.same_set == pytest.approx((2 + 2) / 6)
    pairs = [(a, b) for a in range(6) for b in range(6) if a != b and (a < 3) == (b < 3)]
    shared = [len({*voters[a].tolist()} & {*voters[b].tolist()}) / 3 for a, b in pairs]
    assert found.shared == pytest.approx(sum(shared) / len(shared))
    assert found.distinct == 8
    assert (found.seed, found.images) == (2, 6)


def test_flipped_labels_are_those_marked_and_no_others() -> None:
    labels = torch.randint(4, (200,))
    found = flip(labels, 0.3, 4, seed=1)
    assert torch.equal(found.are_wrong, found.labels != labels)
    assert int(found.are_wrong.sum()) == 60
    assert torch.equal(found.labels, flip(labels, 0.3, 4, seed=1).labels)
    assert not torch.equal(found.labels, flip(labels, 0.3, 4, seed=2).labels)
    assert set(found.labels.tolist()) <= {0, 1, 2, 3}


def test_training_is_determined_by_the_seed_and_kept_after_each_epoch() -> None:
    images, labels = torch.rand(150, 1, 8, 8), torch.randint(3, (150,))
    state = torch.get_rng_state()
    longer, shorter, other = (
        snapshots(images, labels, 3, epochs=epochs, seed=seed)
        for epochs, seed in ((3, 1), (2, 1), (2, 2))
    )
    assert torch.equal(torch.get_rng_state(), state)
    hashes = [hash_of(network.state_dict()) for network in longer]
    assert hashes[:2] == [hash_of(network.state_dict()) for network in shorter]
    assert len({*hashes, hash_of(other[-1].state_dict())}) == 4


def test_captum_s_methods_are_set_up_on_the_network_that_was_trained() -> None:
    """Self-influence by its definition, |∂loss/∂W|², which Captum counts without the bias."""
    images, labels = torch.rand(40, 1, 8, 8), torch.randint(3, (40,))
    networks = snapshots(images, labels, 3, epochs=2, seed=0)
    before = [hash_of(network.state_dict()) for network in networks]
    trained = Trained(0, 0.1, networks, TensorDataset(images, labels), labels == 0)
    gradients = []
    for image, label in zip(images, labels, strict=True):
        network = networks[-1]
        loss = torch.nn.functional.cross_entropy(network(image[None]), label[None])
        (gradient,) = torch.autograd.grad(loss, network.head.weight)
        gradients.append(gradient.flatten())
    squares = torch.stack(gradients).square().sum(1)
    found = tracin(networks[-1:], trained.examples).self_influence()
    assert torch.allclose(found, squares, rtol=1e-4)
    through = influence_function(trained.network, trained.examples).self_influence()
    assert through.shape == (40,)
    assert float(torch.corrcoef(torch.stack([through.detach(), squares]))[0, 1]) > 0
    assert [hash_of(network.state_dict()) for network in networks] == before


def test_margins_pair_rankings_of_the_same_network() -> None:
    rows = [
        {"kind": "detection", "method": m, "seed": s, "flipped": 0.1, "epochs": 5, "area": a}
        for m, s, a in (("a", 0, 0.9), ("a", 1, 0.8), ("b", 1, 0.7), ("b", 0, 0.6))
    ]
    assert margins(rows, "a", "b") == pytest.approx([0.3, 0.1])
