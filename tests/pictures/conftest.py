"""What the tests of pictures read back from a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No picture opens a figure in pyplot, chooses a backend or changes a setting."""
    figures, before = pyplot.get_fignums(), settings()
    yield
    assert pyplot.get_fignums() == figures
    assert settings() == before


def settings() -> dict[str, Any]:
    """``rcParams`` as they lie there; asked for in the usual way, a backend is chosen."""
    return {key: dict.__getitem__(matplotlib.rcParams, key) for key in matplotlib.rcParams}


def maps(figure: Figure) -> list[Any]:
    """The images drawn in the signed scale."""
    return [
        image
        for axis in figure.axes
        for image in axis.get_images()
        if image.get_cmap().name == "RdBu_r"
    ]


def colour_of(image: Any, row: int, column: int) -> np.ndarray:
    """The red, green and blue that a value of a map has on paper."""
    return np.asarray(image.cmap(image.norm(image.get_array()))[row, column, :3])


def is_red(colour: Any) -> bool:
    """Whether red is the strongest, as of what speaks for an output."""
    red, _, blue = np.asarray(colour)[:3]
    return bool(red > blue + 0.05)


def is_blue(colour: Any) -> bool:
    """Whether blue is the strongest, as of what speaks against an output."""
    red, _, blue = np.asarray(colour)[:3]
    return bool(blue > red + 0.05)
