"""P: how likely each pair of points are neighbours, the target that t-SNE's maps are drawn to.

p_{j|i} = exp(−β_i ‖x_i − x_j‖²) / Σ_{k≠i} exp(−β_i ‖x_i − x_k‖²), with the β_i at which the
perplexity exp(H(p_{·|i})) is the one asked for, and p_ij = (p_{j|i} + p_{i|j}) / 2n (van der
Maaten and Hinton 2008, "Visualizing Data using t-SNE", JMLR 9, eqs. 1, 4 and section 3.1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["EmbeddingError", "affinities", "check_points", "conditional"]

HALVINGS = 60
WIDEST = 40.0  # of |log β|, β in units of a row's mean squared distance
TOLERANCE = 1e-6  # relative, of the perplexity reached


class EmbeddingError(ValueError):
    """Points that cannot be embedded, or compared, as asked."""


def affinities(points: Tensor, perplexity: float) -> Tensor:
    """P of some points.

    Args:
        points: (n, \\*features).
        perplexity: effective number of neighbours of each point, above 1, below n − 1.

    Returns:
        (n, n), float64, symmetric, 0 on the diagonal, sums to 1.

    Raises:
        EmbeddingError: there are too few points, or some of them are not finite, or so many
            are equally near that the perplexity cannot be reached.

    Cost: 60 passes over n² distances.

    >>> import torch
    >>> P = affinities(torch.tensor([[0.0], [1.0], [4.0], [5.0]]), perplexity=1.5)
    >>> bool(P[0, 1] > 10 * P[0, 2]), round(float(P.sum()), 12)
    (True, 1.0)
    """
    found = conditional(points, perplexity)
    return (found + found.T) / (2 * len(points))


def conditional(points: Tensor, perplexity: float) -> Tensor:
    """p_{j|i} in row i, by bisection of log β_i. Arguments and errors as `affinities`."""
    check_points(points, perplexity)
    itself = torch.eye(len(points), dtype=torch.bool)
    squared = _squared_distances(points).masked_fill(itself, math.inf)
    farther = squared - squared.amin(1, keepdim=True)
    scale = farther.masked_fill(itself, 0.0).mean(1, keepdim=True)
    farther = farther / torch.where(scale > 0, scale, 1.0)
    low, high = torch.full_like(scale, -WIDEST), torch.full_like(scale, WIDEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = (-farther * middle.exp()).softmax(1)
        is_wide = _perplexities(found)[:, None] > perplexity
        low, high = torch.where(is_wide, middle, low), torch.where(is_wide, high, middle)
    _expect_reached(_perplexities(found), perplexity)
    return found


def check_points(points: Tensor, perplexity: float) -> None:
    """Raise EmbeddingError where no P exists."""
    count = len(points)
    if count < 3:
        raise EmbeddingError(
            f"Expected at least 3 points, got {count}: a map of neighbours needs points that "
            "have a nearer and a farther one. Give more points."
        )
    if not perplexity > 1:
        raise EmbeddingError(
            f"Expected a perplexity above 1, got {perplexity:g}: it is the effective number of "
            "neighbours of a point. Usual values are 5 to 50."
        )
    if not perplexity < count - 1:
        raise EmbeddingError(
            f"Expected a perplexity below {count - 1}, got {perplexity:g}: it asks for "
            f"{perplexity:g} neighbours of each point, and the {count} points that are "
            f"embedded together have {count - 1} others each. Lower the perplexity, or give "
            "more points."
        )
    broken = (~torch.isfinite(points.flatten(1))).any(1).nonzero()
    if len(broken):
        raise EmbeddingError(
            f"Expected finite points, got NaN or infinite values in {len(broken)} of "
            f"{count}, the first of them point {int(broken[0])}: their distances mean "
            "nothing. Remove these points, or fill in what is missing."
        )


def _squared_distances(points: Tensor) -> Tensor:
    flat = points.flatten(1).double()
    return torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist").square()


def _perplexities(rows: Tensor) -> Tensor:
    """exp of each row's entropy, (n,)."""
    return torch.special.entr(rows).sum(1).exp()


def _expect_reached(reached: Tensor, perplexity: float) -> None:
    worst = int((reached / perplexity - 1).abs().argmax())
    if abs(float(reached[worst]) / perplexity - 1) > TOLERANCE:
        raise EmbeddingError(
            f"Expected a perplexity of {perplexity:g} at every point, got "
            f"{float(reached[worst]):.3g} at point {worst}: so many others are equally near "
            "to it. Remove duplicates, or raise the perplexity."
        )
