"""The Fashion-MNIST networks: weights, accuracies, sample, baselines, Captum's methods."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from captum.attr import LRP, DeepLift, GuidedBackprop, InputXGradient

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

from captum_ilin import InstanceWiseLinearization, linearize
from comparisons.__main__ import main
from comparisons.models import fashion, fashion_data
from comparisons.models.images import pixel_blocks
from comparisons.models.network import hash_of
from comparisons.packages import MissingPackageError

if TYPE_CHECKING:
    from comparisons.models.network import Network

DATA = Path(os.environ.get("FASHION_MNIST") or fashion_data.FOLDER)
NEEDS_DATA = pytest.mark.skipif(
    not (DATA / "t10k-images-idx3-ubyte.gz").is_file(),
    reason="the Debian package dataset-fashion-mnist is not unpacked",
)
CASES = [(name, seed) for name in fashion.MODELS for seed in fashion.SEEDS]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def case(request: pytest.FixtureRequest) -> tuple[str, int]:
    found: tuple[str, int] = request.param
    return found


@pytest.fixture
def network(case: tuple[str, int]) -> Network:
    name, seed = case
    return fashion.MODELS[name].load(seed)


def facts_of(case: tuple[str, int]) -> dict[str, object]:
    name, seed = case
    facts: dict[str, object] = json.loads((fashion.WEIGHTS / f"{name}_{seed}.json").read_text())
    return facts


def accuracy(network: Network) -> float:
    expected = torch.tensor([fashion_data.CLASSES.index(label) for label in network.labels])
    return float((network.targets == expected).double().mean())


def test_weights_are_those_the_json_describes(case: tuple[str, int], network: Network) -> None:
    facts = facts_of(case)
    assert network.weights_hash == hash_of(network.model.state_dict()) == facts["sha256"]
    assert network.seed == facts["seed"] == case[1]
    assert sum(p.numel() for p in network.model.parameters()) == facts["parameters"]
    assert facts["command"] == "python -m comparisons train --only fashion_mnist"


def test_the_sample_is_classified_as_well_as_the_test_set(
    case: tuple[str, int], network: Network
) -> None:
    expected = float(str(facts_of(case)["test_accuracy"]))
    deviation = (expected * (1 - expected) / len(network.inputs)) ** 0.5
    assert abs(accuracy(network) - expected) <= 3 * deviation
    assert expected >= {"fashion_cnn": 0.9, "fashion_vit": 0.86}[network.name]
    assert f"test accuracy {expected:.1%}" in network.description


@pytest.mark.parametrize("seed", fashion.SEEDS)
def test_twins_learned_permuted_labels_by_heart(seed: int) -> None:
    network = fashion.cnn(seed)
    twin, facts = network.twin, facts_of(("fashion_cnn", seed))["twin"]
    assert isinstance(facts, dict)
    assert twin is not None
    assert type(twin) is type(network.model)
    assert not twin.training
    assert hash_of(twin.state_dict()) == facts["sha256"] != network.weights_hash
    assert facts["train_accuracy"] > 0.95
    # chance, ten classes: 0.1 with a deviation of 0.003 on 10,000 images; a twin that learned
    # nothing general still favours classes, so within a few hundredths
    assert abs(facts["test_accuracy"] - 0.1) < 0.05


@NEEDS_DATA
@pytest.mark.parametrize("seed", fashion.SEEDS)
def test_a_twin_knows_its_permuted_labels_and_not_the_real_ones(seed: int) -> None:
    from comparisons.models.fashion_training import accuracy, permuted_set

    twin, facts = fashion.cnn(seed).twin, facts_of(("fashion_cnn", seed))["twin"]
    assert isinstance(facts, dict)
    assert twin is not None
    whole = fashion_data.whole("train")
    images, labels = permuted_set(*whole, seed)
    assert labels.bincount().tolist() == whole[1][: len(labels)].bincount().tolist()
    assert accuracy(twin, images, labels) == pytest.approx(facts["train_accuracy"], abs=1e-3)
    assert accuracy(twin, images, whole[1][: len(labels)]) < 0.2


def test_seeds_are_different_networks() -> None:
    for model in fashion.MODELS.values():
        assert len({model.load(seed).weights_hash for seed in model.seeds}) == 3


def test_networks_are_exact(network: Network) -> None:
    inputs = network.inputs[:2]
    assert linearize(network.model, inputs, strict=True).check().largest_error < 1e-5
    doubled = linearize(network.model.double(), inputs.double(), strict=True).check()
    assert doubled.value_error <= 1e-12
    assert doubled.completeness_error <= 1e-11


@pytest.mark.parametrize("seed", fashion.SEEDS)
def test_captums_methods_run_on_the_cnn(seed: int) -> None:
    network = fashion.cnn(seed)
    inputs, targets = network.inputs[:4], network.targets[:4]
    ours = InstanceWiseLinearization(network.model).attribute(inputs, target=targets)
    found = {}
    for method in (InputXGradient, LRP, GuidedBackprop, DeepLift):
        explainer = method(fashion.cnn(seed).model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Captum's, on the hooks it sets
            found[method] = explainer.attribute(inputs.clone().requires_grad_(), target=targets)
    for attributions in found.values():
        assert attributions.shape == inputs.shape
        assert attributions.isfinite().all()
        assert attributions.abs().sum() > 0
    # a network of ReLUs: one map, up to LRP's stabiliser of 1e-9 and the rounding of float32
    for method in (InputXGradient, LRP):
        assert (ours - found[method]).abs().max() <= 1e-4 * ours.abs().max()


def test_baselines_have_the_shape_of_an_example(network: Network) -> None:
    shape = (1, *network.inputs.shape[1:])
    assert sorted(network.baselines) == ["blur", "mean", "noise", "zero"]
    for name in network.baselines:
        baseline = network.baseline(name, 3)
        assert baseline.shape == shape
        assert baseline.dtype == network.inputs.dtype
        assert (baseline.std() > 0.01) == (name != "zero")
        assert 0 <= baseline.min() <= baseline.max() <= 1
    assert not torch.equal(network.baseline("blur", 0), network.baseline("blur", 1))
    total = network.inputs.sum((1, 2, 3))
    assert not torch.allclose(network.baselines["blur"], network.inputs, atol=0.1)
    assert (
        torch.corrcoef(torch.stack([network.baselines["blur"].sum((1, 2, 3)), total])).min()
        > 0.9
    )


def test_the_feature_mask_is_of_square_blocks(network: Network) -> None:
    mask = network.feature_mask
    assert mask is not None
    assert mask.shape == (1, *network.inputs.shape[1:])
    for row, column in ((0, 0), (5, 8), (27, 27)):
        assert mask[0, 0, row, column] == 14 * (row // 2) + column // 2


def test_channels_of_a_pixel_belong_to_one_block() -> None:
    mask = pixel_blocks(torch.zeros(2, 3, 4, 6), 2)
    assert mask[0, 0].tolist() == mask[0, 2].tolist()
    assert mask[0, 1].tolist() == [[0, 0, 1, 1, 2, 2]] * 2 + [[3, 3, 4, 4, 5, 5]] * 2


def test_the_sample_is_small_and_even_over_the_classes() -> None:
    images, labels = fashion_data.sample()
    assert images.shape == (100, 1, 28, 28)
    assert labels.bincount().tolist() == [10] * 10
    assert labels[:10].tolist() == list(range(10))
    assert (images.min(), images.max()) == (0, 1)
    assert fashion_data.SAMPLE.stat().st_size <= 80_000
    assert "Zalando SE" in (fashion.WEIGHTS / "NOTICE").read_text()


@NEEDS_DATA
def test_the_sample_is_that_of_the_whole_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = dict(np.load(fashion_data.SAMPLE))
    monkeypatch.setattr(fashion_data, "SAMPLE", tmp_path / "sample.npz")
    fashion_data.write_sample()
    written = dict(np.load(tmp_path / "sample.npz"))
    assert sorted(committed) == sorted(written)
    for name in ("images", "labels", "rows"):
        assert np.array_equal(committed[name], written[name])
    # rounded to 8 bits after a float32 sum whose order is the machine's
    assert np.abs(committed["mean"].astype(int) - written["mean"]).max() <= 1


def test_rows_of_the_sample_are_the_first_of_each_class() -> None:
    labels = torch.arange(10).repeat(12).flip(0)  # 9, 8, …, 0, 9, …
    rows = fashion_data.select(labels)
    expected = [9 - kind + 10 * turn for kind in range(10) for turn in range(10)]
    assert rows.tolist() == expected


@pytest.fixture
def without_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASHION_MNIST", str(tmp_path))
    return tmp_path


def test_missing_data_say_how_to_get_them(without_data: Path) -> None:
    with pytest.raises(MissingPackageError) as caught:
        fashion_data.whole("train")
    assert str(caught.value) == (
        "Training on Fashion-MNIST needs the Debian package dataset-fashion-mnist, and "
        f"{without_data} holds no train-images-idx3-ubyte.gz. Get it with:\n"
        "  apt-get download dataset-fashion-mnist\n"
        "  dpkg-deb -x dataset-fashion-mnist_*.deb fashion\n"
        "and set FASHION_MNIST=fashion/usr/share/datasets/fashion-mnist. Everything but "
        "training runs without it."
    )


def test_training_without_data_touches_nothing(
    without_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fashion_data.SAMPLE.stat().st_mtime_ns
    assert main(["train", "--only", "fashion_mnist"]) == 2
    assert "apt-get download dataset-fashion-mnist" in capsys.readouterr().err
    assert fashion_data.SAMPLE.stat().st_mtime_ns == before


def test_unknown_data_to_train_on_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--only", "fashion"])
    assert (
        "unknown data 'fashion'. Did you mean tsne_fashion or fashion_mnist?"
        in capsys.readouterr().err
    )
