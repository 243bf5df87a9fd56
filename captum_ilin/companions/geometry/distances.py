"""Distances to the hyperplanes between classes, z_i = z_j, of logits z = W f + b.

|z_i − z_j| / ‖W_i − W_j‖, with the rows of a head, or with the rows of a network's own W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Nearest", "nearest_boundary", "pair_norms", "signed_margins"]


class Nearest(NamedTuple):
    """A distance to a hyperplane between classes, and the class on its other side."""

    distance: Tensor
    rival: Tensor


def pair_norms(rows: Tensor) -> Tensor:
    """‖W_i − W_j‖ for every pair of rows, (classes, classes), from the differences."""
    flat = rows.flatten(1)
    return torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")


def nearest_boundary(logits: Tensor, norms: Tensor, own: Tensor) -> Nearest:
    """From one class of each example, the nearest hyperplane to another.

    Where two rows are equal no hyperplane is between their classes: its distance is infinite,
    unless the logits are equal too, for then every point is on it.

    Args:
        logits: (n, classes).
        norms: ‖W_own − W_j‖, (n, classes).
        own: the class of each, (n,).

    Returns:
        Distance and rival, (n,) each; the distance is not negative.
    """
    gaps = (logits.gather(1, own[:, None]) - logits).abs()
    distances = torch.where(norms > 0, gaps / norms, torch.where(gaps > 0, torch.inf, 0.0))
    distances = distances.scatter(1, own[:, None], torch.inf)
    found, rivals = distances.min(1)
    return Nearest(found, rivals)


def signed_margins(logits: Tensor, norms: Tensor) -> Nearest:
    """The distance of every class, negative where another has the larger logit.

    Args:
        logits: (n, classes).
        norms: ‖W_i − W_j‖, (classes, classes).

    Returns:
        Distance and rival, (n, classes) each.
    """
    found = [_signed(logits, norms, own) for own in range(logits.shape[1])]
    distances, rivals = zip(*found, strict=True)
    return Nearest(torch.stack(distances, 1), torch.stack(rivals, 1))


def _signed(logits: Tensor, norms: Tensor, own: int) -> Nearest:
    count = len(logits)
    rows = torch.full((count,), own)
    nearest = nearest_boundary(logits, norms[own].expand(count, -1), rows)
    others = logits.scatter(1, rows[:, None], -torch.inf).amax(1)
    sign = torch.where(logits[:, own] >= others, 1.0, -1.0).to(logits)
    return Nearest(sign * nearest.distance, nearest.rival)
