"""``bias_waterfall`` and ``bias_maps``: where b entered, as a sum and over the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from captum_ilin.biasmap import BiasMap
from captum_ilin.certificate import tolerance_for
from captum_ilin.pictures.bars import draw_waterfall, gathered
from captum_ilin.pictures.drawing import styled
from captum_ilin.pictures.errors import PictureInputError
from captum_ilin.pictures.images import one_row, pictures_of
from captum_ilin.pictures.numbers import drawable, short, written_like
from captum_ilin.pictures.panels import Panel, panel_figure
from captum_ilin.pictures.scale import SIDES, Scale
from captum_ilin.targets import check_row, select

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.figure import Figure
    from torch import Tensor

    from captum_ilin.affine import AffineMap

__all__ = ["bias_maps", "bias_waterfall"]


@styled()
def bias_waterfall(
    affine_map: AffineMap,
    target: Any = None,
    *,
    row: int = 0,
    depth: int | None = None,
    most: int = 15,
    label: str | None = None,
    unit: str = "logit",
    title: str | None = None,
    save: str | Path | None = None,
) -> Figure:
    """``AffineMap.waterfall`` as bars: the features, then each module's bias, up to F.

    F = ⟨W, x⟩ + Σ b_module. The terms and F are measured independently of each other, and
    nothing is drawn unless they add up.

    Args:
        affine_map: made by ``linearize``.
        target (optional): any of Captum's target forms; None only for one output per
            example.
        row (int, optional): the example. Default: 0.
        depth (int, optional): how many names of a module's path to keep: with 2,
            "encoder.0.norm" and "encoder.0.mlp" count as "encoder.0". Default: None, all.
        most (int, optional): bars besides F; the smallest biases are added up as "n others".
        label (str, optional): the name of F, such as the class. Default: "F".
        unit (str, optional): of the output. Default: "logit".
        title, save (optional): as in `waterfall`.

    Returns:
        The figure, not shown. Modules stand in the order in which their constants entered.

    Raises:
        PictureInputError: ``most`` is too small, or the sum misses F by more than the
            tolerance of ``AffineMap.check``.
        TargetError, LedgerError: the target, the row or the depth does not fit.
        PictureFileError, PicturePackageError: as in `waterfall`.

    Cost: that of ``AffineMap.waterfall``.

    >>> import torch
    >>> from captum_ilin import linearize, pictures
    >>> nn = torch.nn
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> affine_map = linearize(model, torch.ones(1, 3))
    >>> figure = pictures.bias_waterfall(affine_map, target=0)
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['⟨W, x⟩', '0', '2', 'F']
    """
    value = select(affine_map.outputs, target)
    row = check_row(row, len(value))
    bars = affine_map.waterfall(target, depth=depth)
    terms = dict(zip(bars.names, bars.values[:, row].tolist(), strict=True))
    return draw_waterfall(
        gathered(terms, most, always=1),
        float(value[row]),
        total_name=label or "F",
        unit=unit,
        title=title or "F = ⟨W, x⟩ + b: the features and every module's bias",
        save=save,
        tolerance=tolerance_for(value.dtype),
    )


MAPS = {2: "(height, width)", 3: "(batch, height, width)"}


@styled()
def bias_maps(
    maps: Mapping[str, Tensor] | BiasMap,
    image: Tensor | None = None,
    *,
    row: int = 0,
    depth: int | None = None,
    most: int = 11,
    limit: float | None = None,
    unit: str = "logit",
    title: str | None = None,
    save: str | Path | None = None,
) -> Figure:
    """Each module's bias over the input's plane, and all together, in one scale.

    Args:
        maps: ``bias_ledger(target).by_place((height, width))``; or name → (height, width) or
            (batch, height, width), in the network's order.
        image (optional): of the same size, drawn first; as in `attribution_maps`.
        row (int, optional): the example of maps with a batch. Default: 0.
        depth (int, optional): of a `BiasMap`, how many names of a module's path to keep.
            Default: None, all.
        most (int, optional): maps besides the sum of all; the smallest, by the sum of their
            sizes, are added up as "n others".
        limit, unit, title, save (optional): as in `attribution_maps`.

    Returns:
        The figure, not shown. The sum stands above every map. What of b has no place, as
        that of a linear head, is said in the title.

    Raises:
        PictureInputError: no maps, maps of several sizes, or shapes that cannot be drawn.
        LedgerError: the depth does not fit.
        PictureFileError, PicturePackageError: as in `attribution_maps`.

    >>> import torch
    >>> from captum_ilin import pictures
    >>> figure = pictures.bias_maps({"conv": torch.ones(4, 4), "head": -torch.ones(4, 4)})
    >>> [axis.get_title() for axis in figure.axes[:3]]
    ['all together\\n0.00', 'conv\\n+16.00', 'head\\n−16.00']
    """
    named = maps.by_module(depth) if isinstance(maps, BiasMap) else maps
    chosen = {
        str(name) or "(no module)": _one(values, str(name), row)
        for name, values in named.items()
    }
    _check_sizes(chosen)
    kept = _largest(chosen, most)
    whole = torch.stack(list(chosen.values())).sum(0)
    shown = {"all together": whole} | kept
    write = written_like([float(values.sum()) for values in shown.values()])
    panels = [
        Panel(f"{short(name, 22)}\n{write(float(values.sum()))}", values)
        for name, values in shown.items()
    ]
    if image is not None:
        given = one_row(image, row, "image") if image.dim() > 2 else image
        panels.insert(0, Panel("image\n", picture=pictures_of(given, whole[None])[0]))
    return panel_figure(
        panels,
        Scale.of(list(shown.values()), f"bias, {unit}{SIDES}", limit),
        columns=4,
        title=title or _where(maps, row, unit),
        save=save,
    )


def _where(maps: Mapping[str, Tensor] | BiasMap, row: int, unit: str) -> str:
    said = "Where b entered, over the input"
    if not isinstance(maps, BiasMap) or not maps.unplaced:
        return said
    rest = float(maps.rest[row])
    return f"{said}; without a place: {written_like([rest])(rest)} {unit}"


def _one(values: Tensor, name: str, row: int) -> Tensor:
    found = drawable(values, f"The map {name!r}", MAPS)
    return one_row(found, row, f"the map {name!r}")[0] if found.dim() == 3 else found


def _check_sizes(maps: Mapping[str, Tensor]) -> None:
    sizes = {tuple(values.shape) for values in maps.values()}
    if len(sizes) != 1:
        listed = ", ".join(f"{height}×{width}" for height, width in sorted(sizes)) or "none"
        raise PictureInputError(
            f"maps must be of one size, that of the input, because they are added up, but "
            f"got {listed}. Bring each to the input's plane first, its sum kept."
        )


def _largest(maps: dict[str, Tensor], most: int) -> dict[str, Tensor]:
    """The maps of the largest Σ|·| in their order, and the rest added up."""
    sizes = {name: float(values.abs().sum()) for name, values in maps.items()}
    kept = gathered(sizes, most)
    found = {name: values for name, values in maps.items() if name in kept}
    left = [values for name, values in maps.items() if name not in kept]
    return found | ({f"{len(left)} others": torch.stack(left).sum(0)} if left else {})
