"""Localisation: whether attributions lie where the evidence is known to lie.

Attributions A and a mask M of the evidence, compared place by place (`Places`: an image's
channels are summed first). No metric runs the network: all cost one pass over the
attributions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_ilin.metrics.correlation import centred_ranks
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.features import as_tuple
from captum_ilin.metrics.places import Places
from captum_ilin.metrics.scores import Direction, Scores

if TYPE_CHECKING:
    from captum_ilin.metrics.features import Inputs

__all__ = [
    "grid_pointing_game",
    "pointing_game",
    "relevance_auc",
    "relevance_mass_accuracy",
    "relevance_rank_accuracy",
]


def pointing_game(attributions: Inputs, mask: Inputs, *, tolerance: float = 0) -> Scores:
    """Whether the place of the largest attribution lies in the mask: 1 or 0.

    Of several places with the same largest attribution the share that lies in the mask
    counts, the expectation of one drawn at random, so a constant map scores the mask's own
    share (Quantus counts a hit if any of them lies there).

    Args:
        attributions: (batch, \\*features), or a tuple of such tensors; signed.
        mask: bool, shaped like the attributions, or with 1 in place of the batch and of the
            dimensions that are summed (channels).
        tolerance: pixels; the mask grows to every place within this Euclidean distance in
            the last two dimensions. Zhang et al. use 15.

    Returns:
        Higher is better, 0 to 1; NaN where the mask is empty.

    Raises:
        MetricInputError: the mask does not fit, or the tolerance is negative or given for
            attributions without two dimensions of pixels.

    Source: Zhang et al., *Top-down neural attention by excitation backprop*, IJCV 2018, the
    pointing game.

    >>> import torch
    >>> from captum_ilin.metrics import pointing_game
    >>> mask = torch.tensor([[[True, False], [False, False]]])
    >>> pointing_game(torch.tensor([[[3.0, 1.0], [0.0, -9.0]]]), mask).values
    tensor([1.], dtype=torch.float64)
    """
    if tolerance < 0:
        raise MetricInputError(f"tolerance is {tolerance}; expected 0 or more pixels.")
    if tolerance:
        mask = tuple(_grown(part, tolerance) for part in as_tuple(mask))
    places = Places.of(attributions, mask)
    largest = places.values == places.values.amax(1, keepdim=True)
    hits = (largest & places.inside).double().sum(1) / largest.double().sum(1)
    return _scores("pointing game", hits, places.missing())


def relevance_mass_accuracy(
    attributions: Inputs, mask: Inputs, *, part: str = "positive"
) -> Scores:
    """The share of the attribution that lies in the mask.

    RMA = Σ_{p∈M} R(p) / Σ_p R(p), R the part of A that counts.

    Args:
        attributions: (batch, \\*features), or a tuple of such tensors.
        mask: bool, as for `pointing_game`.
        part: "positive", max(A, 0) of a place, after its channels are summed (Arras et al.'s
            pooling "sum,pos"); "absolute", |A|; or "signed", A itself, whose share may leave
            0 to 1 (Quantus's default).

    Returns:
        Higher is better; the mask's own share for a constant map; NaN where the mask is empty
        or nothing is there to share.

    Raises:
        MetricInputError: the mask does not fit, or the part is unknown.

    Source: Arras et al., *CLEVR-XAI*, Information Fusion 2022, relevance mass accuracy.

    >>> import torch
    >>> from captum_ilin.metrics import relevance_mass_accuracy
    >>> mask = torch.tensor([[True, False, False]])
    >>> relevance_mass_accuracy(torch.tensor([[3.0, 1.0, -4.0]]), mask).values
    tensor([0.7500], dtype=torch.float64)
    """
    places = Places.of(attributions, mask, part)
    return _share("relevance mass accuracy", places, part)


def relevance_rank_accuracy(
    attributions: Inputs, mask: Inputs, *, part: str = "signed"
) -> Scores:
    """The share of the K places of largest attribution that lie in the mask of K places.

    RRA = |{the K largest R} ∩ M| / K, K = |M|. Places that tie at the last rank count with
    the share of them that is taken, the expectation of a random order.

    Args:
        attributions: (batch, \\*features), or a tuple of such tensors.
        mask: bool, as for `pointing_game`.
        part: what is ranked: "signed" (the default, as in Quantus), "positive" (places with
            negative attributions tie at 0) or "absolute".

    Returns:
        Higher is better, 0 to 1; the mask's own share for a constant map; NaN where the mask
        is empty.

    Raises:
        MetricInputError: the mask does not fit, or the part is unknown.

    Source: Arras et al., *CLEVR-XAI*, Information Fusion 2022, relevance rank accuracy.

    >>> import torch
    >>> from captum_ilin.metrics import relevance_rank_accuracy
    >>> mask = torch.tensor([[True, True, False, False]])
    >>> relevance_rank_accuracy(torch.tensor([[5.0, 1.0, 2.0, 0.0]]), mask).values
    tensor([0.5000], dtype=torch.float64)
    """
    places = Places.of(attributions, mask, part)
    count = places.inside.sum(1)
    ranked = places.values.sort(1, descending=True).values
    last = ranked.gather(1, (count - 1).clamp(min=0)[:, None])
    above, tied = places.values > last, places.values == last
    taken = (count - above.sum(1)).double() / tied.sum(1)
    hits = (above & places.inside).sum(1) + taken * (tied & places.inside).sum(1)
    return _scores("relevance rank accuracy", hits / count, places.missing())


def relevance_auc(attributions: Inputs, mask: Inputs, *, part: str = "signed") -> Scores:
    """How often a place in the mask outranks a place outside: the area under the ROC curve.

    AUC = P(R(p) > R(q)) + ½ P(R(p) = R(q)) for p ∈ M and q ∉ M, drawn independently.

    Args:
        attributions: (batch, \\*features), or a tuple of such tensors.
        mask: bool, as for `pointing_game`.
        part: what is ranked, as for `relevance_rank_accuracy`.

    Returns:
        Higher is better, 0 to 1; ½ for a constant or a random map; NaN where the mask is
        empty or covers every place.

    Raises:
        MetricInputError: the mask does not fit, or the part is unknown.

    Source: Fawcett, *An introduction to ROC analysis*, Pattern Recognition Letters 2006,
    the area under the curve.

    >>> import torch
    >>> from captum_ilin.metrics import relevance_auc
    >>> mask = torch.tensor([[True, False, False]])
    >>> relevance_auc(torch.tensor([[2.0, 2.0, 1.0]]), mask).values
    tensor([0.7500], dtype=torch.float64)
    """
    places = Places.of(attributions, mask, part)
    inside = places.inside.double()
    within, without = inside.sum(1), (1 - inside).sum(1)
    middle = (places.values.shape[1] + 1) / 2
    ranks = centred_ranks(places.values).to(inside) + middle
    won = (ranks * inside).sum(1) - within * (within + 1) / 2
    reasons = [
        reason or ("the mask covers every place" if full else None)
        for reason, full in zip(places.missing(), (without == 0).tolist(), strict=True)
    ]
    return _scores("relevance AUC", won / (within * without), reasons)


def grid_pointing_game(attributions: Tensor, mask: Tensor) -> Scores:
    """The share of the positive attribution that lies in the explained class's grid cell.

    GridPG = Σ_{p∈cell} A⁺(p) / Σ_p A⁺(p), for a grid of n×n images of different classes
    (`grid_of` makes them). Chance, and a constant map, give 1/n².

    Args:
        attributions: (batch, channels, height, width) for the class in the masked cell.
        mask: (batch or 1, 1, height, width) bool, the cell; the channels are summed first.

    Returns:
        Higher is better, 0 to 1; NaN where nothing is positive.

    Raises:
        MetricInputError: the mask does not fit.

    Source: Böhle et al., *Convolutional dynamic alignment networks for interpretable
    classifications*, CVPR 2021, the localisation metric.

    >>> import torch
    >>> from captum_ilin.metrics import grid_of, grid_pointing_game
    >>> grids = grid_of(torch.randn(4, 3, 8, 8), n=2)
    >>> grid_pointing_game(torch.ones(1, 3, 16, 16), grids.cells[:1]).values
    tensor([0.2500], dtype=torch.float64)
    """
    return _share("grid pointing game", Places.of(attributions, mask, "positive"), "positive")


def _share(metric: str, places: Places, part: str) -> Scores:
    total = places.values.sum(1)
    nothing = {
        "positive": "no attribution is positive: there is nothing to share",
        "absolute": "every attribution is 0: there is nothing to share",
        "signed": "the attributions add up to 0: a share of that is undefined",
    }[part]
    reasons = [
        reason or (nothing if empty else None)
        for reason, empty in zip(places.missing(), (total == 0).tolist(), strict=True)
    ]
    return _scores(metric, (places.values * places.inside).sum(1) / total, reasons)


def _scores(metric: str, values: Tensor, reasons: list[str | None]) -> Scores:
    """NaN exactly where there is a reason."""
    missing = torch.tensor([reason is not None for reason in reasons], device=values.device)
    return Scores.of(metric, Direction.HIGHER, values.masked_fill(missing, torch.nan), reasons)


def _grown(mask: Tensor, radius: float) -> Tensor:
    """The mask with every place within ``radius`` pixels of it."""
    if mask.dtype != torch.bool:
        raise MetricInputError(
            f"The mask has dtype {mask.dtype}; expected torch.bool, True where the evidence "
            "lies."
        )
    if mask.dim() < 3:
        raise MetricInputError(
            f"tolerance is {radius}, and the mask has shape {tuple(mask.shape)}; expected "
            "(batch, …, height, width), because a tolerance is a distance in pixels."
        )
    reach = int(radius)
    offsets = torch.arange(-reach, reach + 1, device=mask.device)
    disc = (offsets[:, None] ** 2 + offsets**2 <= radius**2).float()[None, None]
    planes = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    grown: Tensor = torch.nn.functional.conv2d(planes, disc, padding=reach)
    return grown.reshape(mask.shape) > 0.5
