"""Pictures of the map: each function returns a matplotlib figure, and saves it if asked.

>>> from captum_ilin import pictures
>>> figure = pictures.waterfall({"features": 2.0, "bias": -0.5})

Matplotlib is an optional extra, imported when the first picture is drawn; pyplot never is.
"""

from captum_ilin.pictures.attributions import attribution_maps, templates
from captum_ilin.pictures.bars import waterfall
from captum_ilin.pictures.biases import bias_maps, bias_waterfall
from captum_ilin.pictures.categories import category_grids
from captum_ilin.pictures.colours import SIGNED_MAP, Shade, shade
from captum_ilin.pictures.curves import validity_curve
from captum_ilin.pictures.errors import (
    PictureFileError,
    PictureInputError,
    PicturePackageError,
)
from captum_ilin.pictures.shifts import metric_shifts
from captum_ilin.pictures.singular import singular_directions
from captum_ilin.pictures.tokens import token_html, token_text, visible
from captum_ilin.pictures.votes import vote_maps

__all__ = [
    "SIGNED_MAP",
    "PictureFileError",
    "PictureInputError",
    "PicturePackageError",
    "Shade",
    "attribution_maps",
    "bias_maps",
    "bias_waterfall",
    "category_grids",
    "metric_shifts",
    "shade",
    "singular_directions",
    "templates",
    "token_html",
    "token_text",
    "validity_curve",
    "visible",
    "vote_maps",
    "waterfall",
]
