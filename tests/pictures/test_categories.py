"""Tables of categories: what is drawn where, in one scale, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from captum_ilin import pictures
from captum_ilin.pictures import PictureInputError

H = torch.tensor([[1.0, -0.5, 0.25], [0.0, 2.0, -2.0]])


def test_every_cell_is_where_its_names_say() -> None:
    figure = pictures.category_grids(
        {"h": H}, rows="AB", columns=["x", "y", "z"], row_label="letter", column_label="place"
    )
    axis = figure.axes[0]
    assert torch.equal(torch.tensor(axis.images[0].get_array().data), H.double())
    assert [text.get_text() for text in axis.get_xticklabels()] == ["x", "y", "z"]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["A", "B"]
    assert (axis.get_ylabel(), axis.get_xlabel()) == ("letter", "place")


def test_all_tables_share_one_scale_symmetric_about_zero() -> None:
    grids = {name: size * H for name, size in (("one", 1), ("other", 3), ("a", 1), ("b", 1))}
    figure = pictures.category_grids(grids, rows="AB", columns="xyz", limit=torch.inf)
    drawn = [axis.images[0] for axis in figure.axes if axis.images]
    assert [image.get_clim() for image in drawn] == [(-6.0, 6.0)] * 4
    assert [axis.get_title() for axis in figure.axes if axis.images] == list(grids)


def test_long_names_are_shortened_and_turned() -> None:
    figure = pictures.category_grids(
        {"h": H}, rows=["a", "b"], columns=["a very long category", "b", "c"]
    )
    label = figure.axes[0].get_xticklabels()[0]
    assert label.get_text() == "a very long c…"
    assert label.get_rotation() == 90


@pytest.mark.parametrize(
    ("grids", "rows", "message"),
    [
        ({}, "AB", "There are no grids to draw; expected at least one table."),
        (
            {"h": H},
            "ABC",
            "grid 'h' must be shaped (3, 3), for so many names of rows and columns, but got "
            "(2, 3). Transpose it, or name each.",
        ),
        (
            {"h": H[0]},
            "AB",
            "grid 'h' must be shaped (rows, columns), but got (3,). Reshape it, or choose a "
            "part by index.",
        ),
        (
            {"h": H / 0},
            "AB",
            "grid 'h' must be finite to have a colour or a length, but 6 of 6 values are NaN "
            "or infinite. Find out where they come from: AffineMap.check names the op.",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(grids: Any, rows: str, message: str) -> None:
    with pytest.raises(PictureInputError) as caught:
        pictures.category_grids(grids, rows=rows, columns="xyz")
    assert str(caught.value) == message
