"""One symmetric diverging scale for every picture: blue against, red for."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap, to_hex

__all__ = ["SIGNED_MAP", "Shade", "shade", "truncated_map"]

SIGNED_MAP = "RdBu_r"  # blue against, red for: told apart with every kind of colour vision
REACH = 0.9  # the scale's darkest tenth at either end is left out: text must stay readable


class Shade(NamedTuple):
    """A background and the ink that is readable on it, as ``#rrggbb``."""

    background: str
    ink: str


def shade(value: float, limit: float) -> Shade:
    """The colour of a contribution on a scale from −limit to limit.

    >>> shade(0.0, 2.0).ink
    '#000000'
    >>> shade(2.0, 2.0) == shade(5.0, 2.0)
    True
    """
    place = max(-1.0, min(1.0, value / limit))
    red, green, blue, _ = colormaps[SIGNED_MAP](0.5 + 0.5 * REACH * place)
    bright = _luminance(red, green, blue) > _EVEN
    return Shade(to_hex((red, green, blue)), "#000000" if bright else "#ffffff")


def truncated_map() -> LinearSegmentedColormap:
    """The scale of `shade` as a colour map, for a colour bar."""
    ends = (0.5 - 0.5 * REACH, 0.5 + 0.5 * REACH)
    colours = [
        colormaps[SIGNED_MAP](ends[0] + (ends[1] - ends[0]) * i / 255) for i in range(256)
    ]
    return LinearSegmentedColormap.from_list(f"{SIGNED_MAP} truncated", colours)


_EVEN = 0.179  # where black and white have the same contrast: √(1.05 · 0.05) − 0.05


def _luminance(*channels: float) -> float:
    """Relative luminance of sRGB, WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
