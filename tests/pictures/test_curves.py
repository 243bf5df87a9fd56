"""The validity curve: the errors as they are, and the step at which a region ends."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from captum_ilin import RegionExit, linearize, pictures
from captum_ilin.pictures import PictureInputError
from tests.networks import relu_mlp

STEPS = [0.001, 0.01, 0.1, 1.0]


def line(figure: Any, label: str) -> list[list[float]]:
    (found,) = [line for line in figure.axes[0].lines if line.get_label() == label]
    return [list(found.get_xdata()), list(found.get_ydata())]


def said(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_errors_are_drawn_as_they_are() -> None:
    errors = torch.tensor([[1e-6, 1e-5], [1e-4, 1e-3], [0.1, 0.2], [1.0, 2.0]])
    figure = pictures.validity_curve(STEPS, errors, labels=["left", "right"])
    steps, drawn = line(figure, "right")
    assert steps == STEPS
    assert drawn == pytest.approx(errors[:, 1].tolist())
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[0].get_xscale() == "log"


@pytest.mark.parametrize("steps", [[1.0, 2.0, 3.0, 4.0], [-1.0, 0.001, 0.5, 1.0]])
def test_steps_that_span_little_or_turn_back_are_on_a_plain_axis(steps: list[float]) -> None:
    figure = pictures.validity_curve(steps, torch.ones(4))
    assert figure.axes[0].get_xscale() == "linear"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_rounding_hides_is_drawn_at_its_edge(dtype: torch.dtype) -> None:
    figure = pictures.validity_curve(STEPS, torch.tensor([0.0, 1e-30, 0.1, 1.0], dtype=dtype))
    _, drawn = line(figure, "example 0")
    assert drawn[:2] == [torch.finfo(dtype).eps] * 2
    assert "below rounding" in said(figure)


def test_axes_are_numbered_in_plain_letters() -> None:
    """Labels are no mathematics here, so that matplotlib's own would show their source."""
    for errors in ([0.1, 0.2, 0.3, 0.35], [1e-12, 1e-6, 1e-3, 1.0]):
        figure = pictures.validity_curve(STEPS, torch.tensor(errors, dtype=torch.float64))
        (axis,) = figure.axes
        figure.draw_without_rendering()
        numbers = [
            label.get_text()
            for one in (axis.xaxis, axis.yaxis)
            for label in (*one.get_majorticklabels(), *one.get_minorticklabels())
            if label.get_text()
        ]
        assert len(numbers) > 5
        assert all(float(number.replace("−", "-")) > 0 for number in numbers)


def test_the_exit_is_marked_where_the_error_begins() -> None:
    torch.manual_seed(3)
    x, direction = torch.randn(2, 1, 4, dtype=torch.float64)
    affine_map = linearize(relu_mlp(4, 16, 3), x)
    exit = affine_map.region().exit(direction)
    steps = [exit.step * factor for factor in (0.05, 0.5, 0.99, 1.1, 2.0, 10.0)]
    errors = affine_map.validity(direction, steps)
    figure = pictures.validity_curve(steps, errors, exit=exit)
    (name,) = [text for text in said(figure) if text.startswith("region ends at")]
    assert f"{exit.op} in {exit.module!r}" in name
    ends, _ = line(figure, name)
    assert ends == [exit.step, exit.step]
    _, drawn = line(figure, "example 0")
    assert max(drawn[:3]) < 1e-13 < drawn[-1]


@pytest.mark.parametrize(
    ("exit", "message"),
    [
        (RegionExit(math.inf), "the region never ends this way"),
        (RegionExit(0.0, "relu", "1"), "x0 lies on the region's boundary (relu in '1')"),
        (RegionExit(0.5, "relu"), "region ends at 0.5 (relu)"),
    ],
)
def test_an_exit_without_a_place_is_said(exit: RegionExit, message: str) -> None:
    assert message in said(pictures.validity_curve(STEPS, torch.ones(4), exit=exit))


def test_of_many_examples_the_median_stands_out() -> None:
    errors = torch.rand(4, 9, dtype=torch.float64) + 0.1
    figure = pictures.validity_curve(STEPS, errors)
    _, drawn = line(figure, "median of 9 examples")
    assert drawn == pytest.approx([sorted(row)[4] for row in errors.tolist()])


@pytest.mark.parametrize(
    ("steps", "errors", "message"),
    [
        (
            STEPS[:3],
            torch.ones(4, 2),
            r"errors must have a row for each of the 3 steps, but have 4\. Pass the steps that",
        ),
        (
            STEPS,
            torch.ones(4, 2, 1),
            r"errors must be shaped \(steps,\) or \(steps, batch\), but",
        ),
        (
            STEPS,
            -torch.ones(4),
            r"errors must be sizes, as AffineMap\.validity gives them, but",
        ),
        (
            STEPS,
            torch.tensor([0, 1, math.nan, 1]),
            r"errors must be finite .*, but 1 of 4 values",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    steps: list[float], errors: Tensor, message: str
) -> None:
    with pytest.raises(PictureInputError, match=f"^{message}"):
        pictures.validity_curve(steps, errors)
