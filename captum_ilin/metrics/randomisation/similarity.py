"""How alike two attribution maps are, for each example: Spearman, SSIM, HOG.

A map is prepared once (ranked, drawn as a picture) and then compared with many others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.metrics.correlation import centred_ranks, pearson
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.features import as_tuple, flattened
from captum_ilin.metrics.randomisation.images import (
    GAUSSIAN_SIDE,
    HOG_SIDE,
    gradients,
    not_a_picture,
    pictures,
    structure,
)
from captum_ilin.metrics.scores import Direction, Scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from captum_ilin.metrics.features import Inputs

__all__ = [
    "SIMILARITIES",
    "Prepared",
    "Similarity",
    "abs_spearman",
    "chosen",
    "hog",
    "spearman",
    "ssim",
]

CONSTANT = "The map is constant, so its values have no order."
NOT_FINITE = "The attributions hold NaN or an infinity."
FLAT = "The map is flat: its gradients have no histogram to correlate."
EMPTY = "The map is zero throughout."


@dataclass(frozen=True)
class Prepared:
    """Maps ready to be compared.

    Attributes:
        rows: (batch, \\*what is compared), float64 on the CPU.
        reasons: for each example why it cannot be compared, or None.
    """

    rows: Tensor
    reasons: tuple[str | None, ...]


@dataclass(frozen=True)
class Similarity:
    """A similarity by its two halves.

    Attributes:
        name: of the metric.
        prepare: attributions → prepared maps.
        compare: rows, rows → (batch,) similarities.
    """

    name: str
    prepare: Callable[[tuple[Tensor, ...]], Prepared]
    compare: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, first: Prepared, second: Prepared) -> Scores:
        """The similarity of each example's two maps."""
        reasons = [a or b for a, b in zip(first.reasons, second.reasons, strict=True)]
        usable = torch.tensor([reason is None for reason in reasons])
        if usable.all():
            values = self.compare(first.rows, second.rows)
        else:
            values = torch.full((len(reasons),), torch.nan, dtype=torch.float64)
            if usable.any():
                values[usable] = self.compare(first.rows[usable], second.rows[usable])
        return Scores.of(self.name, Direction.DESCRIPTIVE, values, reasons)


def spearman(first: Inputs, second: Inputs) -> Scores:
    """Spearman's rank correlation of two attribution maps, over all their values.

    ρ = Σ(rᵢ − r̄)(sᵢ − s̄) / √(Σ(rᵢ − r̄)² Σ(sᵢ − s̄)²), with r, s the average ranks.

    Args:
        first, second: attributions of the same shape, (batch, \\*features) or a tuple.

    Returns:
        Values from −1 to 1, descriptive. NaN for a constant map, and for NaN or infinities.

    Raises:
        MetricInputError: the shapes differ.

    Adebayo et al. 2018, arXiv:1810.03292, section 3.

    >>> import torch
    >>> from captum_ilin.metrics import spearman
    >>> map = torch.tensor([[3.0, -1.0, 2.0], [1.0, 1.0, 1.0]])
    >>> spearman(map, 2 * map).values
    tensor([1., nan], dtype=torch.float64)
    """
    return _similarity("spearman", first, second)


def abs_spearman(first: Inputs, second: Inputs) -> Scores:
    """Spearman's rank correlation of the absolute values of two attribution maps.

    As `spearman`, with the ranks of |a| and |b|: blind to signs. Sparse inputs keep it high
    for every method that multiplies by them, because their zeros stay tied lowest.

    >>> import torch
    >>> from captum_ilin.metrics import abs_spearman
    >>> map = torch.tensor([[3.0, -1.0, 2.0]])
    >>> abs_spearman(map, -map).values
    tensor([1.], dtype=torch.float64)
    """
    return _similarity("abs_spearman", first, second)


def ssim(first: Inputs, second: Inputs) -> Scores:
    """Structural similarity of two attribution maps, as pictures.

    Channels are summed and each map divided by its largest |value|, so that values run from
    −1 to 1 (data range 2); a Gaussian window with σ = 1.5 (11 pixels), population moments.

    Args:
        first, second: (batch, channels, height, width) or (batch, height, width).

    Returns:
        Values up to 1, descriptive. NaN for maps that are no image, below 11 pixels, or zero.

    Raises:
        MetricPackageError: scikit-image is not installed.

    Wang et al. 2004, doi:10.1109/TIP.2003.819861, equation 13.

    >>> import torch
    >>> from captum_ilin.metrics import ssim
    >>> map = torch.rand(1, 3, 16, 16)
    >>> ssim(map, 2 * map).values
    tensor([1.], dtype=torch.float64)
    """
    return _similarity("ssim", first, second)


def hog(first: Inputs, second: Inputs) -> Scores:
    """Pearson correlation of two maps' histograms of oriented gradients.

    Channels are summed and each map divided by its largest |value|. Nine orientations, blocks
    of 3×3 cells; a cell has 16 pixels a side as in Adebayo et al., or a third of the map's
    where three of 16 would not fit.

    Args:
        first, second: (batch, channels, height, width) or (batch, height, width).

    Returns:
        Values from −1 to 1, descriptive. NaN for maps that are no image, below 6 pixels, or
        flat.

    Raises:
        MetricPackageError: scikit-image is not installed.

    Dalal and Triggs 2005, doi:10.1109/CVPR.2005.177; Adebayo et al. 2018, section 3.

    >>> import torch
    >>> from captum_ilin.metrics import hog
    >>> map = torch.rand(1, 1, 28, 28)
    >>> hog(map, map).values
    tensor([1.], dtype=torch.float64)
    """
    return _similarity("hog", first, second)


def _similarity(name: str, first: Inputs, second: Inputs) -> Scores:
    parts, others = as_tuple(first), as_tuple(second)
    if [part.shape for part in parts] != [other.shape for other in others]:
        raise MetricInputError(
            f"{name} compares maps value by value; expected two of the same shape, got "
            f"{[tuple(part.shape) for part in parts]} and "
            f"{[tuple(other.shape) for other in others]}."
        )
    similarity = SIMILARITIES[name]
    return similarity(similarity.prepare(parts), similarity.prepare(others))


def _ranked(parts: tuple[Tensor, ...]) -> Prepared:
    return _ranked_rows(flattened(parts))


def _ranked_by_size(parts: tuple[Tensor, ...]) -> Prepared:
    return _ranked_rows(flattened(parts).abs())


def _ranked_rows(rows: Tensor) -> Prepared:
    ranks = centred_ranks(rows)
    finite = rows.abs().amax(1).cpu() < torch.inf
    return Prepared(ranks, _where(finite, NOT_FINITE, ranks.any(1), CONSTANT))


def _drawn(parts: tuple[Tensor, ...]) -> Prepared:
    if (reason := not_a_picture(parts, GAUSSIAN_SIDE)) is not None:
        return _unusable(len(parts[0]), reason)
    rows = pictures(parts)
    return Prepared(rows, _where(_finite(rows), NOT_FINITE, rows.any(2).any(1), EMPTY))


def _oriented(parts: tuple[Tensor, ...]) -> Prepared:
    if (reason := not_a_picture(parts, HOG_SIDE)) is not None:
        return _unusable(len(parts[0]), reason)
    maps = pictures(parts)
    rows = torch.stack([gradients(row) for row in maps])
    rows = rows - rows.mean(1, keepdim=True)
    return Prepared(rows, _where(_finite(maps), NOT_FINITE, rows.any(1), FLAT))


def _finite(maps: Tensor) -> Tensor:
    return maps.isfinite().all(2).all(1)


def _unusable(batch: int, reason: str) -> Prepared:
    return Prepared(torch.zeros(batch, 1, dtype=torch.float64), (reason,) * batch)


def _where(
    finite: Tensor, not_finite: str, varies: Tensor, constant: str
) -> tuple[str | None, ...]:
    if bool(finite.all()) and bool(varies.all()):
        return (None,) * len(finite)
    return tuple(
        not_finite if not usable else None if moves else constant
        for usable, moves in zip(finite.tolist(), varies.tolist(), strict=True)
    )


def _structures(first: Tensor, second: Tensor) -> Tensor:
    pairs = zip(first, second, strict=True)
    return torch.tensor([structure(a, b) for a, b in pairs], dtype=torch.float64)


SIMILARITIES = {
    similarity.name: similarity
    for similarity in (
        Similarity("spearman", _ranked, pearson),
        Similarity("abs_spearman", _ranked_by_size, pearson),
        Similarity("ssim", _drawn, _structures),
        Similarity("hog", _oriented, pearson),
    )
}


def chosen(names: Iterable[str]) -> tuple[Similarity, ...]:
    """Similarities by name.

    Raises:
        MetricInputError: there is none of that name.
    """
    found = tuple(names)
    unknown = [name for name in found if name not in SIMILARITIES]
    if unknown or not found:
        raise MetricInputError(
            f"similarities: expected some of {', '.join(SIMILARITIES)}; got "
            f"{', '.join(unknown) or 'none'}."
        )
    return tuple(SIMILARITIES[name] for name in found)
