"""The command ``categorical``: what it leaves, what it says, what it refuses; the networks."""

from __future__ import annotations

import csv
import json
import lzma
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
import torch

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("rich", reason="the comparisons' extra is not installed")
pytest.importorskip("matplotlib", reason="the pictures' extra is not installed")

from comparisons.__main__ import main
from comparisons.categorical import filetype as files
from comparisons.categorical import peptides as measuring
from comparisons.categorical.readings import agreements, logit_of, readings
from comparisons.commands.train import trainers
from comparisons.models import peptides
from comparisons.models.network import hash_of
from comparisons.models.peptides_data import (
    AMINO_ACIDS,
    GROUPS,
    LENGTH,
    SHARED,
    Peptides,
    divided,
    sample,
)
from comparisons.models.trained import facts_of

if TYPE_CHECKING:
    from pathlib import Path

needs_modlamp = pytest.mark.skipif(
    find_spec("modlamp") is None,
    reason="needs the peptides: pip install --no-deps modlamp==4.3.3",
)
needs_magika = pytest.mark.skipif(
    find_spec("magika") is None or find_spec("onnx") is None,
    reason="needs Magika's weights: pip install --no-deps magika==1.0.3 and onnx",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two networks with few samples."""
    found = tmp_path_factory.mktemp("categorical")
    arguments = ["categorical", "--seeds", "0", "1", "--samples", "4", "--out", str(found)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "REPEATS", 4)
        assert main(arguments) == 0
    return found


def test_what_a_run_leaves(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    kept = lzma.decompress((folder / "records.jsonl.xz").read_bytes()).decode()
    assert kept == (folder / "records.jsonl").read_text()
    facts = json.loads((folder / "provenance.json").read_text())
    assert (facts["network"], facts["seeds"], facts["samples"]) == ("peptides", [0, 1], 4)
    fields = [row for row in rows if row["kind"] == "field"]
    assert len(fields) == 2 * 2 * LENGTH * len(AMINO_ACIDS)  # backgrounds, seeds
    with (folder / "field.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(fields)
    for name in ("fields.png", "coupling.png", "pairs.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_what_it_says(folder: Path) -> None:
    said = (folder / "summary.md").read_text()
    assert said.startswith("- 2 networks (seeds 0, 1): 82.0 % to 82.8 % of held-out windows")
    assert "M at position 1" in said
    assert "10,000 patterns: the sum of all orders is the network to" in said
    table = (folder / "table.md").read_text()
    assert "### Variance explained by order" in table
    assert table.count("### ") == 7


def test_shares_add_up_and_the_map_gives_the_logit(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    shares = [row for row in rows if row["kind"] == "share"]
    for start in range(0, len(shares), 3):
        assert abs(sum(row["share"] for row in shares[start : start + 3]) - 1) < 1e-9
    exact = [row for row in rows if row.get("by") == "W' and b' of each window"]
    assert len(exact) == 4
    assert all(abs(row["determination"] - 1) < 1e-9 for row in exact)
    assert all(row["agreement"] == 1 for row in exact)
    fields = [row for row in rows if row.get("by") == "φ + Σ h"]
    assert all(0.5 < row["determination"] < 0.99 for row in fields)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network", "peptide"], "unknown network 'peptide'. Did you mean peptides?"),
        (["--seeds", "7"], "There are peptide networks of the seeds 0, 1, 2, but not of 7."),
        (["--samples", "0"], "samples must be a number of at least 4, because standard errors"),
    ],
)
def test_what_it_refuses(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["categorical", *arguments, "--out", str(tmp_path / "out")])
    assert message in capsys.readouterr().err


def test_without_magika_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("comparisons.packages.importlib.util.find_spec", lambda name: None)
    assert main(["categorical", "--network", "filetype", "--out", str(tmp_path / "out")]) == 2
    assert "which is not installed. Install it with: python -m pip install" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("seed", peptides.SEEDS)
def test_the_committed_networks(seed: int) -> None:
    facts = facts_of(peptides.WEIGHTS, f"peptides_{seed}")
    model, data = peptides.peptide_net(seed), sample()
    assert facts["sha256"] == hash_of(model.state_dict())
    found = peptides.accuracy(model, data.test, data.test_labels)
    assert abs(found - facts["test_accuracy"]) < 0.002  # a logit near 0 on another machine
    assert found > float(data.test_labels.double().mean()) + 0.1
    assert not model.training
    assert "peptides" in trainers()


@needs_modlamp
def test_the_committed_sample_is_of_the_data() -> None:
    data, kept = divided(), sample()
    assert torch.equal(data.test, kept.test)
    assert torch.equal(data.test_labels, kept.test_labels)
    counts = torch.stack([(data.train == letter).sum(0) for letter in range(20)], 1) + 1.0
    torch.testing.assert_close(
        kept.frequencies, (counts / counts.sum(1, keepdim=True)).double(), rtol=1e-6, atol=1e-9
    )


@needs_modlamp
def test_no_test_window_shares_residues_with_a_training_window() -> None:
    data = divided()

    def pieces(codes: torch.Tensor) -> set[tuple[int, ...]]:
        starts = range(LENGTH - SHARED + 1)
        return {tuple(row[s : s + SHARED]) for row in codes.tolist() for s in starts}

    assert not pieces(data.train) & pieces(data.test)
    assert len(set(map(tuple, data.train.tolist()))) == len(data.train)


def test_training_repeats() -> None:
    codes = torch.randint(20, (200, LENGTH))
    data = Peptides(codes, codes[:, 0] % 2, codes[:10], codes[:10, 0] % 2)
    one, again, other = (
        peptides.fitted(data, seed, epochs=1).state_dict() for seed in (1, 1, 2)
    )
    assert hash_of(one) == hash_of(again)
    assert hash_of(one) != hash_of(other)


def test_the_mean_substitution_over_the_background_is_the_field() -> None:
    """Which ties the readings to the expansion, by random windows of the background."""
    model = peptides.peptide_net(0).double()
    background = sample().background
    expansion = measuring.expanded(0, background, samples=16)
    windows = background.draw(2000, torch.Generator().manual_seed(0))
    read = readings(model, windows, background)
    found = {(row.first, row.second): row for row in agreements(0, expansion, read)}
    assert found["field h", "mean substitution"].median > 0.999
    inputs = GROUPS.encode(windows).double()
    with torch.no_grad():
        logits = logit_of(model)(inputs)[:, 1]
    mapped = (read.weights * inputs).sum((1, 2)) + read.biases
    assert float((mapped - logits).abs().max()) < 1e-10
    assert float((read.plain - read.weights).abs().max()) > 0.01


@needs_magika
def test_what_is_said_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two letters and two bytes, which is quick."""
    monkeypatch.setattr(files, "LETTERS", "%P")
    monkeypatch.setattr(files, "FIRST", 2)
    assert main(["categorical", "--network", "filetype", "--out", str(tmp_path)]) == 0
    said = (tmp_path / "summary.md").read_text().splitlines()
    assert [line.partition(" (")[0] for line in said] == [
        "- Magika's logit of 'pdf' over the first four bytes"
    ] * 2
    assert all("correlates with: W' at a window " in line for line in said)
    assert (tmp_path / "fields.png").read_bytes().startswith(b"\x89PNG")
    rows = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    shares = [row["share"] for row in rows if row["kind"] == "share"]
    assert len(shares) == 2 * 2
    assert abs(sum(shares) - 2) < 1e-9


@needs_magika
def test_magika_s_first_bytes() -> None:
    content = files.FILES["the rest a text"]
    groups = files.groups()
    assert groups.patterns == 6**4
    held = files.one_hot(content)
    first = groups.encode(torch.tensor([[0, 1, 2, 3]]), held)
    assert torch.equal(first, held)  # %PDF
    found = files.expand(
        files.file_type(),
        groups.only([0, 3], letters="%F"),
        held=held,
        target=files.labels().index("pdf"),
        class_gauge=True,
    )
    with torch.no_grad():
        logits = files.file_type()(held)[0].double()
    logit = float(logits[files.labels().index("pdf")] - logits.mean())
    assert abs(float(found(held)) - logit) < 1e-4  # the network computes in single precision
