"""The map's cost: what is computed and how it is told, not how long anything takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from comparisons.__main__ import main
from comparisons.timing.mapping import limit, networks, products, regions, rows, rows_page, run
from comparisons.timing.mapping.budget import MULTIPLES, budgets

if TYPE_CHECKING:
    from pathlib import Path

TINY = ("vgg11_bn", "resnet18", "vit_small")  # the names that the parts know


def convnet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 12)),
    )


def smooth() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.GELU(), nn.Linear(6, 12))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "SIDE", 8)
    for name in TINY:
        made = smooth if name == "vit_small" else convnet
        monkeypatch.setitem(networks.NETWORKS, name, made)
    monkeypatch.setattr(rows, "CHUNKS", (1, 4, None))
    monkeypatch.setattr(rows, "FEW", 5)
    monkeypatch.setattr(rows, "matmul_rate", lambda: limit.matmul_rate(16, 2))


def ignored(description: str) -> None:
    """A step that says nothing."""


def records_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("tiny")
def test_every_part_of_small_networks(tmp_path: Path) -> None:
    run.mapping(tmp_path, list(TINY), repeats=2, threads=1, console=Console(quiet=True))
    found = records_of(tmp_path)
    assert {part: [r["model"] for r in found if r["part"] == part] for part in PARTS} == {
        "products": [name for name in TINY for _ in range(5)],
        "rows": ["resnet18", "vit_small"],
        "regions": [name for name in ("vgg11_bn", "resnet18") for _ in range(3)],
        "budget": [name for name in TINY for _ in MULTIPLES],
    }
    for record in found:
        if record["part"] in ("products", "regions"):
            assert 1 <= len(record["ratios"]) == len(record["seconds"]) <= 2
            assert record["peak_bytes"] > 0
        if record.get("call") in ("forward + backward", "torch.func.jvp"):
            assert set(record["ratios"]) == {1.0}  # the others are divided by these
    assert json.loads((tmp_path / "provenance.json").read_text())["models"] == list(TINY)


PARTS = tuple(part.name for part in run.PARTS)


@pytest.mark.usefixtures("tiny")
def test_the_page_explains_every_column(tmp_path: Path) -> None:
    run.mapping(tmp_path, ["resnet18"], repeats=1, threads=1, console=Console(quiet=True))
    _, *sections = (tmp_path / "map.md").read_text().split("\n## ")
    assert [section.splitlines()[0] for section in sections] == [
        *("Products", "All rows", "The arithmetic limit", "Chunk sizes of jacrev"),
        *("Regions", "Budgets"),
    ]
    for section in sections:
        header, ruled, *table = [s for s in section.splitlines() if s.startswith("| ")]
        columns = header.strip("| ").split(" | ")
        assert all(line.count(" | ") == len(columns) - 1 for line in (ruled, *table))
        assert table
        legend = [line for line in section.splitlines() if line.startswith("- **")]
        assert [line.split("**")[1] for line in legend] == columns


@pytest.mark.usefixtures("tiny")
def test_steps_add_up_to_the_total() -> None:
    """Whatever the part, so that the bar ends where its work does."""
    for part in run.PARTS:
        (name, *_) = part.among(list(TINY))
        said: list[str] = []
        list(part.measured(name, 3, said.append))
        assert len(said) == part.steps(3)
        assert all(words.startswith(f"{name}: ") for words in said)


@pytest.mark.usefixtures("tiny")
def test_the_command_takes_map_and_one_thread(tmp_path: Path) -> None:
    command = ["cost", "--map", "--models", "vgg11_bn", "--repeats", "1"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    provenance = json.loads((tmp_path / "provenance.json").read_text())
    assert (provenance["threads"], provenance["repeats"]) == (1, 1)


def test_a_network_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["cost", "--map", "--models", "resnet81"])
    assert "unknown model 'resnet81'" in capsys.readouterr().err


def test_products_are_those_of_the_jacobian() -> None:
    """Of a piecewise linear network, whose W is its Jacobian."""
    model, x = convnet().double().eval(), torch.randn(1, 3, 8, 8, dtype=torch.float64)
    J = torch.autograd.functional.jacobian(model, x).reshape(12, -1)
    torch.manual_seed(1)
    calls = products.calls(model, x)
    torch.manual_seed(1)
    u, v = torch.randn(1, 12, dtype=torch.float64), torch.randn_like(x)
    for label in ("W @ v", "W @ v, the first"):
        torch.testing.assert_close(calls[label](), (J @ v.flatten())[None])
    torch.testing.assert_close(calls["u @ W"](), (u @ J).reshape(x.shape))
    torch.testing.assert_close(
        calls["forward + backward"](), J[products.OUTPUT].reshape(x.shape)
    )


def test_the_exit_is_along_the_line_that_jvp_follows() -> None:
    model, x = convnet().double().eval(), torch.randn(1, 3, 8, 8, dtype=torch.float64)
    torch.manual_seed(1)
    calls = regions.calls(model, x)
    torch.manual_seed(1)
    direction = torch.randn_like(x)
    outputs, slope = calls["torch.func.jvp"]()
    step = calls["region.exit"]().step
    assert 0 < step < torch.inf
    inside = model(x + 0.99 * step * direction)
    torch.testing.assert_close(inside, outputs + 0.99 * step * slope)


@pytest.mark.parametrize("chunk", [1, 5, None])
def test_jacrev_in_chunks_is_the_jacobian(chunk: int | None) -> None:
    model, x = smooth().double(), torch.randn(1, 3, 8, 8, dtype=torch.float64)
    J = torch.autograd.functional.jacobian(model, x)[0]
    torch.testing.assert_close(rows.jacobian(model, x, chunk), J)


@pytest.mark.usefixtures("tiny")
def test_all_rows_are_compared_where_the_map_is_the_derivative() -> None:
    found = rows.compared("resnet18", *networks.network("resnet18"), 5, ignored)
    assert found.difference is not None
    assert 0 <= found.difference < 1e-5  # some hundred units of rounding in float32
    assert (found.outputs, found.inputs, found.few, found.features) == (12, 192, 5, 16)
    assert set(found.chunks) == {"1", "4", "all"}
    assert found.chunk == min(found.chunks, key=found.chunks.__getitem__)
    assert found.result_bytes == 12 * 192 * 4
    assert min(found.peak_bytes, found.reference_peak_bytes) >= found.result_bytes
    smoothed = rows.compared("vit_small", *networks.network("vit_small"), 5, ignored)
    assert smoothed.difference is None


def test_the_difference_is_relative_to_the_largest_of_the_jacobian() -> None:
    J = torch.tensor([[[1.0, -4.0]], [[2.0, 0.0]]])  # (outputs, 1, features)
    W = torch.tensor([[[1.0, -4.0], [2.0, 1.0]]])  # (1, outputs, features)
    assert rows.largest_difference(W, J) == 0.25


def test_all_at_once_is_left_out_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = smooth().requires_grad_(False), torch.randn(1, 3, 8, 8)
    monkeypatch.setattr(rows.os, "sysconf", lambda name: 1)
    found = rows.compared("small", model, x, 5, ignored)
    assert "all" not in found.chunks


def test_the_limits_by_hand() -> None:
    """A layer of 3 by 5 and a head of 7 by 3: a backward pass is 2 · (7 · 3 + 3 · 5)."""
    model = nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 7)).requires_grad_(False)
    flops = limit.passes(model, torch.ones(1, 5))
    assert flops == 2 * (7 * 3 + 3 * 5)
    assert limit.head_features(model, 7) == 3
    assert limit.head_features(model, 3) is None
    assert limit.limit(7, flops, rate=2.0) == 7 * 36
    assert limit.waist_limit(7, 3, 5, flops, rate=2.0) == 3 * 36 + 7 * 3 * 5
    assert limit.matmul_rate(32, 2) > 0


def test_attention_is_counted() -> None:
    """Of 5 tokens of width 8: the four projections, and the four products of the pattern."""

    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, x, x, need_weights=False)[0].flatten(1)

    found = limit.passes(Attending().eval().requires_grad_(False), torch.randn(1, 5, 8))
    assert found == 4 * 2 * 5 * 8 * 8 + 4 * 2 * 5 * 5 * 8


def test_the_page_divides_times_by_the_limits() -> None:
    row = {
        "model": "m",
        "chunk": "8",
        "outputs": 10,
        "inputs": 100,
        "features": 2,
        "seconds": 6.0,
        "reference_seconds": 12.0,
        "flops": 4e9,
        "reference_flops": 8e9,
        "rate": 20e9,
        "few": 5,
        "chunks": {"8": 2.0},
        "difference": 3e-7,
        "peak_bytes": 3e6,
        "reference_peak_bytes": 5e6,
        "result_bytes": 1e6,
    }
    all_rows, limits, chunks = rows_page.sections([row])
    assert all_rows.lines == [
        ["m", "map", "10", "6.0", "0.50", "3", "2", "3e-07"],
        ["m", "jacrev, 8", "10", "12.0", "1.00", "5", "4", ""],
    ]
    assert limits.lines == [
        ["m", "map", "4.00", "20", "2.0", "3.00", "2", "0.4", "15.00"],
        ["m", "jacrev, 8", "8.00", "20", "4.0", "3.00", "2", "0.8", "15.00"],
    ]
    assert chunks.lines == [["m", "8", "5", "2.0", "400.0"]]
    headless = rows_page.sections([{**row, "features": None}])[1]
    assert headless.lines[0][-3:] == ["–", "–", "–"]


def test_budgets_are_told_in_rows_and_are_honoured() -> None:
    model, x = convnet().eval(), torch.randn(1, 3, 8, 8)
    found = list(budgets("small", model, x, 12, ignored))
    assert [record.multiple for record in found] == list(MULTIPLES)
    for record in found:
        assert record.budget == record.multiple * record.one_row > 0
        assert 0 < record.counted <= 1.2 * record.budget


def test_networks_have_a_thousand_outputs_and_the_heads_that_the_limit_needs() -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    assert set(networks.PIECEWISE_LINEAR) | set(networks.ALL_ROWS) <= set(networks.NETWORKS)
    features = {}
    for name in networks.ALL_ROWS:
        model, x = networks.network(name)
        assert model(x).shape == (1, 1000)
        features[name] = limit.head_features(model, 1000)
    assert features == {"resnet18": 512, "vit_small": 384}


def test_the_same_network_each_time() -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    (a, x), (b, y) = (networks.network("resnet18") for _ in range(2))
    assert torch.equal(x, y)
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q)
