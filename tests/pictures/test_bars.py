"""Waterfalls: every bar starts where the one before ends, and the last is F."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import LedgerError, TargetRangeError, linearize, pictures
from captum_ilin.pictures import PictureInputError
from tests.networks import ConvNet
from tests.pictures.conftest import is_blue, is_red


def bars(figure: Any) -> dict[str, tuple[float, float]]:
    """name → (start, length), read from what is drawn, the names from the axis."""
    (axis,) = figure.axes
    names = [label.get_text() for label in axis.get_yticklabels()]
    drawn = [(float(bar.get_x()), float(bar.get_width())) for bar in axis.patches]
    return dict(zip(names, drawn, strict=True))


def numbers(figure: Any) -> list[float]:
    """What is written beside the bars."""
    return [float(text.get_text().replace("−", "-")) for text in figure.axes[0].texts]


@pytest.fixture
def network() -> nn.Module:
    return ConvNet().double().eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 3, 12, 12, dtype=torch.float64)


def test_bars_start_where_the_one_before_ends_and_add_up() -> None:
    terms = {"a": 1.5, "b": -3.25, "c": torch.tensor([0.5], dtype=torch.float64)}
    figure = pictures.waterfall(terms, total=-1.25, total_name="sum")
    found = bars(figure)
    assert found == {
        "a": (0.0, 1.5),
        "b": (1.5, -3.25),
        "c": (-1.75, 0.5),
        "sum": (0.0, -1.25),
    }
    assert sum(length for _, length in list(found.values())[:-1]) == found["sum"][1]
    assert numbers(figure) == [1.5, -3.25, 0.5, -1.25]


def test_positive_bars_are_red_and_negative_ones_blue() -> None:
    axis = pictures.waterfall({"for": 2.0, "against": -1.0}).axes[0]
    first, second, total = axis.patches
    assert is_red(first.get_facecolor())
    assert is_blue(second.get_facecolor())
    assert not is_red(total.get_facecolor())
    assert not is_blue(total.get_facecolor())


def test_small_ones_are_gathered_and_nothing_is_lost() -> None:
    terms = {f"unit {n}": (-1) ** n * float(n) for n in range(30)}
    found = bars(pictures.waterfall(terms, most=5))
    assert list(found) == ["unit 26", "unit 27", "unit 28", "unit 29", "26 others", "F"]
    assert found["26 others"][1] == sum((-1) ** n * n for n in range(26))
    assert found["F"][1] == sum(terms.values())


def test_the_largest_may_come_first() -> None:
    terms = {"a": 1.0, "b": -3.0, "c": 2.0, "d": 0.5}
    assert list(bars(pictures.waterfall(terms, sort=True, most=3))) == [
        "b",
        "c",
        "2 others",
        "F",
    ]


def test_a_total_that_is_missed_is_refused() -> None:
    with pytest.raises(
        PictureInputError,
        match=r"^The contributions must add up to the total 3, but add up to 2\.5: something "
        r"is left out or counted twice\. Pass all of them, the bias too\.",
    ):
        pictures.waterfall({"a": 1.0, "b": 1.5}, total=3.0)


@pytest.mark.parametrize(
    ("terms", "options", "message"),
    [
        ({}, {}, r"There must be a contribution to draw, but got none\. Pass name → number\."),
        (
            {"a": torch.ones(2)},
            {},
            r"The contribution 'a' must be one number, but is a tensor shaped \(2,\)\. Choose",
        ),
        ({"a": math.inf}, {}, r"The contribution 'a' must be finite to be drawn, but is inf\."),
        (
            {"a": 1.0},
            {"most": 0},
            r"most must be an int of at least 1, because the rest is one",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(terms: Any, options: Any, message: str) -> None:
    with pytest.raises(PictureInputError, match=f"^{message}"):
        pictures.waterfall(terms, **options)


# the bias


@pytest.mark.parametrize("row", [0, 2])
def test_bias_waterfall_is_the_features_then_the_biases_then_f(
    network: nn.Module, x: Tensor, row: int
) -> None:
    affine_map = linearize(network, x)
    found = bars(pictures.bias_waterfall(affine_map, 1, row=row, label="dog"))
    alone = linearize(network, x[row : row + 1])
    features = float((alone.weight(1) * x[row]).sum())
    assert found["⟨W, x⟩"] == pytest.approx((0.0, features), rel=1e-12)
    with torch.no_grad():
        value = float(network(x)[row, 1])
    assert found["dog"] == pytest.approx((0.0, value), rel=1e-12)
    biases = [length for name, (_, length) in found.items()][1:-1]
    assert math.fsum(biases) == pytest.approx(float(alone.bias(1)), rel=1e-12)
    assert len(biases) >= 2


def test_biases_are_grouped_by_the_beginning_of_their_path() -> None:
    block = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model = nn.Sequential(block, nn.Sequential(nn.Linear(4, 2))).double()
    affine_map = linearize(lambda x: model(x) + 1.0, torch.randn(1, 4, dtype=torch.float64))
    whole = bars(pictures.bias_waterfall(affine_map, 0))
    blocks = bars(pictures.bias_waterfall(affine_map, 0, depth=1))
    assert list(whole) == ["⟨W, x⟩", "0.0", "0.2", "1.0", "(no module)", "F"]
    assert list(blocks) == ["⟨W, x⟩", "0", "1", "(no module)", "F"]
    assert blocks["0"][1] == pytest.approx(whole["0.0"][1] + whole["0.2"][1], rel=1e-12)
    assert blocks["(no module)"][1] == pytest.approx(1.0)


def test_a_map_that_does_not_add_up_is_not_drawn(
    network: nn.Module, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    affine_map = linearize(network, x)
    whole = affine_map.waterfall(1)
    part = replace(whole, modules=dict(list(whole.modules.items())[1:]))
    monkeypatch.setattr(type(affine_map), "waterfall", lambda *_, **__: part)
    with pytest.raises(PictureInputError, match=r"^The contributions must add up to the total"):
        pictures.bias_waterfall(affine_map, 1)


def test_rows_and_depths_that_do_not_exist_are_refused(network: nn.Module, x: Tensor) -> None:
    affine_map = linearize(network, x)
    with pytest.raises(TargetRangeError, match=r"^The row must be an int from 0 to 2, because"):
        pictures.bias_waterfall(affine_map, 1, row=3)
    with pytest.raises(
        LedgerError, match=r"^depth must be an int >= 0, how many names of a mod"
    ):
        pictures.bias_waterfall(affine_map, 1, depth=-1)
