"""The main job: records, tables and pictures of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from rich.console import Console

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

from comparisons import run as running
from comparisons.__main__ import main
from comparisons.methods import METHODS, Method
from comparisons.models import MODELS, digits
from comparisons.models.network import hash_of
from comparisons.records import Records
from comparisons.table import markdown

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def few_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "EXAMPLES", 2)


def _run(folder: Path, *methods: str) -> list[dict[str, Any]]:
    running.run(folder, ["digits_cnn"], list(methods), repeats=1, console=Console(quiet=True))
    return list(Records(folder))


@pytest.mark.usefixtures("few_examples")
def test_a_run_leaves_records_table_and_picture(tmp_path: Path) -> None:
    rows = _run(tmp_path, "ILIN", "InputXGradient", "Saliency")
    assert [(row["method"], row["example"]) for row in rows] == [
        (method, example)
        for method in ("ILIN", "InputXGradient", "Saliency")
        for example in (0, 1)
    ]
    facts = json.loads((tmp_path / "provenance.json").read_text())
    assert {"command", "commit", "versions", "dtype", "threads", "models"} <= set(facts)
    assert facts["models"]["digits_cnn"]["weights_sha256"] == digits.cnn().weights_hash
    table = (tmp_path / "table.md").read_text()
    assert "declared error ↓ | against 0 ↓" in table
    assert (tmp_path / "attributions_digits_cnn.png").stat().st_size > 5_000


@pytest.mark.usefixtures("few_examples")
def test_ilin_is_complete_and_input_x_gradient_is_not(tmp_path: Path) -> None:
    rows = _run(tmp_path, "ILIN", "InputXGradient")
    for ilin, gradient in zip(rows[:2], rows[2:], strict=True):
        assert ilin["declared_error"] <= 1e-4 * abs(ilin["value"])
        assert gradient["declared_error"] > 1e-4 * abs(gradient["value"])
        assert (ilin["forwards"], ilin["backwards"]) == (1, 1)


@pytest.mark.usefixtures("few_examples")
def test_a_method_that_fails_shows_its_error_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("no hooks here")

    monkeypatch.setitem(METHODS, "Broken", Method("Broken", broken, False, "fails"))
    failed = running.run(
        tmp_path, ["digits_cnn"], ["Broken", "ILIN"], repeats=1, console=Console(quiet=True)
    )
    rows = list(Records(tmp_path))
    assert failed == 2
    assert rows[0]["error"] == "RuntimeError: no hooks here"
    assert rows[-1]["error"] is None
    assert "failed: RuntimeError: no hooks here" in markdown(rows, [digits.cnn()])


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "--models", "digit_cnn"],
            "unknown model 'digit_cnn'. Did you mean digits_cnn",
        ),
        (["run", "--methods", "DeepLift"], "unknown method 'DeepLift'. Did you mean DeepLIFT"),
        (["cost", "--models", "resnet"], "unknown model 'resnet'. Did you mean resnet50"),
        (["run", "--methods", "zzz"], "unknown method 'zzz'. Known: ILIN"),
    ],
)
def test_unknown_names_offer_near_matches(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in (*METHODS, *MODELS, "decoder"))
