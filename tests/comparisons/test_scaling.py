"""The scaling run: what it records and how growth is told, not how long anything takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from rich.console import Console

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from comparisons.__main__ import main
from comparisons.models.decoder import Decoder
from comparisons.timing import scaling as scalings

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn


def _tiny(tokens: int, depth: int, batch: int) -> tuple[nn.Module, Tensor, int]:
    model = Decoder(width=12, heads=2, depth=depth, vocabulary=8)
    return model, torch.randn(batch, tokens, 12), tokens


def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scalings.NETWORKS, "decoder", _tiny)
    monkeypatch.setattr(scalings, "BASE", {"tokens": 4, "depth": 1, "batch": 1})
    monkeypatch.setattr(scalings, "AXES", {"tokens": (4, 8, 16), "depth": (1, 2)})


def test_scaling_of_a_small_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _quickly(monkeypatch)
    scalings.scaling(
        tmp_path, ["decoder"], repeats=2, threads=None, console=Console(quiet=True)
    )
    rows = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert [(row["axis"], row["size"]) for row in rows] == [
        *(("tokens", size) for size in (4, 8, 16)),
        *(("depth", size) for size in (1, 2)),
    ]
    assert all(len(row["ratios"]) == 2 and row["peak_bytes"] > 0 for row in rows)
    costs, exponents = (tmp_path / "scaling.md").read_text().split("\n\n")
    assert costs.count("| decoder | tokens |") == 3
    assert "| decoder | depth | 1 | 2 |" in exponents


def test_the_command_takes_scaling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _quickly(monkeypatch)
    command = ["cost", "--scaling", "--models", "decoder", "--repeats", "1"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "provenance.json").read_text())["base"] == scalings.BASE


def test_growth_is_the_exponent() -> None:
    sizes = [32, 64, 128, 256]
    assert scalings.growth(sizes, [3.0 * n**1.5 for n in sizes]) == pytest.approx(1.5)
    assert scalings.growth(sizes, [7.0] * 4) == pytest.approx(0.0)


@pytest.mark.parametrize("tokens", scalings.AXES["tokens"])
def test_images_have_about_the_tokens_asked_for(tokens: int) -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    model, images, patches = scalings.NETWORKS["vit"](tokens=tokens, depth=1, batch=2)
    assert abs(patches / tokens - 1) < 0.15
    assert images.shape[2] * images.shape[3] == patches * scalings.PATCH**2
    assert model.eval()(images).shape == (2, 1000)
