"""The pictures of docs/pictures.md, drawn from trained networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from captum_ilin import linearize, pictures
from comparisons.models.efficientnet import lite0
from comparisons.models.fashion import cnn
from comparisons.models.fashion_data import CLASSES
from comparisons.models.tabular import MODELS
from comparisons.picture import few_colours

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["draw_gallery"]


def draw_gallery(folder: Path) -> list[Path]:
    """Draw and save all of them.

    Args:
        folder: made if need be.

    Returns:
        The files, PNG.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _draw_photographs(folder)
    _draw_fashion(folder)
    _draw_validity(folder)
    drawn = [folder / f"{name}.png" for name in NAMES]
    for path in drawn[1:]:  # a photograph beside a scale asks for more than 256 colours
        path.write_bytes(few_colours(path))
    return drawn


NAMES = (
    "attributions",
    "waterfall",
    "templates",
    "bias_maps",
    "singular_directions",
    "layer",
    "validity",
)


def _draw_photographs(folder: Path) -> None:
    """EfficientNet-Lite0 on two photographs: the predicted class."""
    network = lite0()
    assert network.images is not None
    x, images = network.inputs[:2], torch.from_numpy(network.images[:2]).movedim(-1, 1)
    affine_map = linearize(network.model, x)
    target = affine_map.outputs.argmax(1)
    weight = affine_map.weight(target)
    assert isinstance(weight, torch.Tensor)
    pictures.attribution_maps(
        weight * x,
        images,
        block=7,
        row=1,
        labels=network.labels[:2],
        save=folder / "attributions.png",
    )
    pictures.bias_waterfall(
        affine_map,
        target,
        row=1,
        label=network.labels[1],
        save=folder / "waterfall.png",
    )


def _draw_fashion(folder: Path) -> None:
    """The CNN for Fashion-MNIST on a T-shirt."""
    network = cnn(0)
    x = network.inputs[:1].double()
    affine_map = linearize(network.model.double(), x)
    weights, target = affine_map.weight(), int(affine_map.outputs.argmax())
    assert isinstance(weights, torch.Tensor)
    pictures.templates(weights, labels=CLASSES, save=folder / "templates.png")
    places = affine_map.bias_ledger(target).by_place((28, 28))
    pictures.bias_maps(places, x.clamp(0, 1), save=folder / "bias_maps.png")
    pictures.singular_directions(
        affine_map.operator().svd(4), labels=CLASSES, save=folder / "singular_directions.png"
    )
    found = affine_map.layer("features.10").contributions(target)
    assert isinstance(found.units, torch.Tensor)
    channels = found.units.sum((2, 3))[0]
    pictures.waterfall(
        {f"channel {number}": value for number, value in enumerate(channels)}
        | {"features around the layer": found.around_features[0]}
        | {"bias around the layer": found.around_bias[0]},
        total=affine_map.outputs[0, target],
        total_name=CLASSES[target],
        most=10,
        sort=True,
        title="What passes through each channel of features.10",
        save=folder / "layer.png",
    )


def _draw_validity(folder: Path) -> None:
    """A piecewise linear network for a table, four patients in a random direction each."""
    network = MODELS["breast_cancer_relu"].first()
    x = network.inputs[:4].double()
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    direction /= direction.norm(dim=1, keepdim=True)
    affine_map = linearize(network.model.double(), x)
    steps = torch.logspace(-4, 1, 61).tolist()
    pictures.validity_curve(
        steps,
        affine_map.validity(direction, steps),
        exit=affine_map.region().exit(direction),
        labels=[f"patient {number}" for number in range(4)],
        save=folder / "validity.png",
    )
