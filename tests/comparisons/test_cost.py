"""Paired timings: the pairing itself, not how long anything takes."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from comparisons.models.decoder import Decoder
from comparisons.timing import cost as costing
from comparisons.timing import pairs

if TYPE_CHECKING:
    from pathlib import Path


def test_cost_of_a_small_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(costing.NETWORKS, "decoder", lambda: Decoder(depth=1, vocabulary=16))
    monkeypatch.setattr(costing, "TOKENS", 8)
    monkeypatch.setattr(pairs, "SLOW", math.inf)  # on a busy machine anything may seem slow
    costing.cost(
        tmp_path,
        ["decoder"],
        repeats=3,
        size=32,
        batch=1,
        threads=None,
        console=Console(quiet=True),
    )
    rows = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    found = {row["method"]: row for row in rows}
    assert found["Saliency"]["ratios"] == [1.0] * 3
    assert len(found["ILIN"]["ratios"]) == 3
    assert found["ILIN"]["peak_bytes"] > 0
    assert "| decoder | ILIN |" in (tmp_path / "table.md").read_text()


def test_ratios_pair_times_of_the_same_repeat() -> None:
    assert pairs.ratios([2.0, None, 9.0], [1.0, 5.0, 3.0]) == [2.0, 3.0]


def test_slow_methods_are_left_out_after_two_repeats() -> None:
    assert pairs.is_slow([6.0, 7.0], [1.0, 1.0])
    assert not pairs.is_slow([2.0, 2.0], [1.0, 1.0])
