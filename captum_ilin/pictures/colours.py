"""One diverging scale for every picture: blue against, red for, white at zero.

ColorBrewer's RdBu (Harrower and Brewer 2003, doi 10.1179/000870403235002042), whose two hues
are told apart with every kind of colour vision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from captum_ilin.pictures.errors import PictureInputError, PicturePackageError

if TYPE_CHECKING:
    from types import ModuleType

    from matplotlib.colors import Colormap

__all__ = ["SIGNED_MAP", "Shade", "matplotlib", "shade", "text_map"]

SIGNED_MAP = "RdBu_r"
REACH = 0.9  # the scale's darkest tenth at either end is left out: text must stay readable


def matplotlib() -> ModuleType:
    """The package, imported when the first picture is drawn.

    Raises:
        PicturePackageError: it is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise PicturePackageError(
            "Pictures are drawn by matplotlib, which is not installed. Install it with: "
            'python -m pip install "captum-ilin[pictures]"'
        ) from error
    return matplotlib


class Shade(NamedTuple):
    """A background and the ink that is readable on it, as ``#rrggbb``.

    >>> shade(-1.0, 1.0)
    Shade(background='#124984', ink='#ffffff')
    """

    background: str
    ink: str


def shade(value: float, limit: float) -> Shade:
    """The colour of a contribution on a scale from −limit to limit.

    Args:
        value: beyond the limit it has the limit's colour.
        limit: the end of the scale, greater than 0.

    Returns:
        Shade: the contrast of ink and background is at least 4.5, WCAG 2.2's level AA.

    Raises:
        PictureInputError: the limit is not positive.

    >>> shade(0.0, 2.0).ink
    '#000000'
    >>> shade(2.0, 2.0) == shade(5.0, 2.0)
    True
    """
    if not limit > 0:
        raise PictureInputError(
            f"The end of a colour scale must be greater than 0, but got {limit}. Pass the "
            "largest size of what is drawn."
        )
    place = max(-1.0, min(1.0, value / limit))
    red, green, blue, _ = matplotlib().colormaps[SIGNED_MAP](0.5 + 0.5 * REACH * place)
    bright = _luminance(red, green, blue) > _EVEN
    return Shade(_written(red, green, blue), "#000000" if bright else "#ffffff")


def text_map() -> Colormap:
    """The scale of `shade` as a colour map, for a colour bar."""
    from matplotlib.colors import LinearSegmentedColormap

    ends = (0.5 - 0.5 * REACH, 0.5 + 0.5 * REACH)
    whole = matplotlib().colormaps[SIGNED_MAP]
    colours = [whole(ends[0] + (ends[1] - ends[0]) * i / 255) for i in range(256)]
    return LinearSegmentedColormap.from_list(f"{SIGNED_MAP} truncated", colours)


_EVEN = 0.179  # where black and white have the same contrast: √(1.05 · 0.05) − 0.05


def _luminance(*channels: float) -> float:
    """Relative luminance of sRGB, WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _written(*channels: float) -> str:
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)
