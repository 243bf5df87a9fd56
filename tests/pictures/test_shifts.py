"""``metric_shifts``: what stands in it, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

pytest.importorskip("matplotlib", reason="the pictures' extra is not installed")

from captum_ilin.pictures import PictureInputError, metric_shifts

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = {"norm": torch.rand(30), "margin": torch.randn(30)}
AFTER = {"norm": torch.rand(30) + 1, "margin": torch.randn(30) - 1}
FAILED = AFTER["margin"] < -1


def test_counts_medians_and_every_example_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "shifts.png"
    figure = metric_shifts(
        BEFORE, AFTER, failed=FAILED, names=("whole", "pruned"), title="Pruned", save=path
    )
    axes = figure.axes
    assert [axis.get_title() for axis in axes] == ["norm", "margin", "", ""]
    for column, metric in enumerate(BEFORE):
        medians = [float(line.get_xdata()[0]) for line in axes[column].lines]
        expected = [float(part[metric].double().quantile(0.5)) for part in (BEFORE, AFTER)]
        assert medians == pytest.approx(expected)
        held, failed = (
            torch.as_tensor(points.get_offsets()).float()
            for points in axes[2 + column].collections
        )
        both = torch.stack([BEFORE[metric], AFTER[metric]], 1)
        assert torch.allclose(held, both[~FAILED])
        assert torch.allclose(failed, both[FAILED])
        assert axes[2 + column].get_xlabel() == "whole"
    legend = axes[1].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["whole", "pruned"]
    assert path.stat().st_size > 0


def test_a_metric_that_is_the_same_everywhere_can_be_drawn() -> None:
    same = {"norm": torch.ones(4)}
    assert len(metric_shifts(same, same).axes) == 2


@pytest.mark.parametrize(
    ("before", "after", "options", "message"),
    [
        (BEFORE, {"norm": AFTER["norm"]}, {}, "must have the same metrics, 1 to 4, but have"),
        ({}, {}, {}, "must have the same metrics, 1 to 4, but have [] and []."),
        (BEFORE, {**AFTER, "norm": torch.rand(9)}, {}, "but there are [9, 30]."),
        (BEFORE, {**AFTER, "norm": torch.rand(3, 3)}, {}, "after['norm'] must be shaped (n,)"),
        (BEFORE, AFTER, {"failed": FAILED[:4]}, "failed must be (30,) of bool, one for each"),
        (BEFORE, AFTER, {"failed": FAILED.long()}, "but got (30,) of torch.int64."),
        (
            {"norm": torch.full((3,), torch.nan)},
            {"norm": torch.ones(3)},
            {},
            "before['norm'] must be finite",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    before: Any, after: Any, options: Any, message: str
) -> None:
    with pytest.raises(PictureInputError) as refused:
        metric_shifts(before, after, **options)
    assert message in str(refused.value)
