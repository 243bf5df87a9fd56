"""MPRT beside Quantus: the same numbers; no time is asserted."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("quantus", reason="Quantus is not installed")

from comparisons.timing import mprt_benchmark


@pytest.mark.slow
def test_both_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mprt_benchmark, "IMAGES", 8)
    monkeypatch.setattr(mprt_benchmark, "SIZES", (8,))
    text = io.StringIO()
    found = mprt_benchmark.benchmark(Console(file=text, width=120), repeats=2)
    assert len(found) == 8
    assert all(len(row.ratios) == 2 for row in found)
    # a quotient and a root of exact sums may each round twice
    assert all(row.difference <= 4 * 2.0**-53 for row in found)
    assert "LeNet" in text.getvalue()
    assert "Peak memory" in text.getvalue()
