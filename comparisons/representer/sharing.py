"""Votes split over the pixels of test images, in float64."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch.utils.data import TensorDataset

from captum_ilin.companions.representer import RepresenterPoints
from comparisons.representer.records import ShareRecord

if TYPE_CHECKING:
    from torch import Tensor

    from captum_ilin.companions.representer import VoteShares
    from comparisons.representer.detection import Trained

__all__ = ["Shared", "shared_votes"]

FOR, AGAINST = 3, 2
IMAGES = 50


class Shared(NamedTuple):
    """Test images, (batch, 1, height, width), and the votes of five examples on each."""

    images: Tensor
    shares: VoteShares
    record: ShareRecord


def shared_votes(trained: Trained, test: Tensor) -> Shared:
    """The three most excitatory and the two most inhibitory examples of each image."""
    network = copy.deepcopy(trained.network).double()
    images, labels = trained.examples.tensors
    points = RepresenterPoints(network, TensorDataset(images.double(), labels))
    asked = test[:IMAGES].double()
    voters = [
        points.influence(asked, FOR).indices,
        points.influence(asked, AGAINST, proponents=False).indices,
    ]
    shares = points.shares(asked, torch.cat(voters, 1))
    return Shared(asked, shares, _record(trained.seed, shares))


def _record(seed: int, shares: VoteShares) -> ShareRecord:
    pixels = shares.features
    assert not isinstance(pixels, tuple)
    flat = pixels.flatten(2)
    sizes = flat.sum(2).abs(), shares.bias.abs()
    cosines = F.cosine_similarity(flat[:, :, None], flat[:, None], dim=3).abs()
    k = flat.shape[1]
    others = ~torch.eye(k, dtype=torch.bool)
    return ShareRecord(
        seed,
        shares.votes.numel(),
        shares.completeness_error,
        float((sizes[1] / (sizes[0] + sizes[1])).median()),
        float(cosines[:, others].mean()),
    )
