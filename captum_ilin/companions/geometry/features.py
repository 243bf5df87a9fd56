"""``FeatureGeometry``: angle, norm and margin of examples before a network's linear head.

With features X and a head of rows W_i and biases b_i,

    z_i = W_i·X + b_i = ‖W_i‖ ‖X‖ cos θ_i + b_i,
    margin_i = ± min over j ≠ i of |(W_i − W_j)·X + b_i − b_j| / ‖W_i − W_j‖,

the sign + where i has the largest logit (Li et al. 2024, "Understanding Robustness Lottery",
IEEE Transactions on Visualization and Computer Graphics).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from captum_ilin.companions.batches import check_repeats
from captum_ilin.companions.errors import CompanionInputError
from captum_ilin.companions.geometry.distances import Nearest, pair_norms, signed_margins
from captum_ilin.companions.geometry.examples import (
    batches_of,
    check_labels,
    check_model,
    missing_examples,
)
from captum_ilin.companions.head import find_head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from captum_ilin.companions.geometry.examples import Batch
    from captum_ilin.companions.head import Head

__all__ = ["FeatureGeometry", "feature_geometry"]


@dataclass(frozen=True, repr=False)
class FeatureGeometry:
    """Where examples lie before the head. Made by `feature_geometry`; numbers are float64.

    Attributes:
        head: path of the linear head.
        labels: (n,).
        angles: θ_i in radians, 0 to π, (n, classes).
        norms: ‖X‖, (n,), above 0.
        margins: of every class in the place of the label, (n, classes): a distance between
            features, negative where another class has a larger logit.
        rivals: the class that attains each margin, (n, classes).
        head_norms: ‖W_i‖, (classes,).
        head_bias: b_i, (classes,); zeros for a head without.
        head_residual: the largest difference between the model's own logits and
            W_i·X + b_i, relative to the largest logit: rounding in the model's dtype.
    """

    head: str
    labels: Tensor
    angles: Tensor
    norms: Tensor
    margins: Tensor
    rivals: Tensor
    head_norms: Tensor
    head_bias: Tensor
    head_residual: float

    def __repr__(self) -> str:
        count, classes = self.angles.shape
        return f"FeatureGeometry(head {self.head!r}, {count} examples, {classes} classes)"

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def logits(self) -> Tensor:
        """‖W_i‖ ‖X‖ cos θ_i + b_i, (n, classes)."""
        return self.head_norms * self.norms[:, None] * self.angles.cos() + self.head_bias

    @property
    def predictions(self) -> Tensor:
        """The class with the largest logit, (n,)."""
        return self.logits.argmax(1)

    @property
    def is_correct(self) -> Tensor:
        """Whether that is the label, (n,)."""
        return self.predictions == self.labels

    @property
    def angle(self) -> Tensor:
        """θ of the label, (n,)."""
        return _own(self.angles, self.labels)

    @property
    def norm(self) -> Tensor:
        """‖X‖, (n,)."""
        return self.norms

    @property
    def margin(self) -> Tensor:
        """Of the label, (n,); negative where another class has a larger logit.

        Of a misclassified example it is, as published, the distance to the nearest of all
        hyperplanes of the label, which need not be the one to the predicted class.
        """
        return _own(self.margins, self.labels)

    @property
    def rival(self) -> Tensor:
        """The class that attains ``margin``, (n,)."""
        return _own(self.rivals, self.labels)

    @property
    def confidence(self) -> Tensor:
        """The largest softmax, (n,)."""
        return self.logits.softmax(1).amax(1)

    @property
    def cross_entropy(self) -> Tensor:
        """−log softmax of the label, from angles, norms and biases alone, (n,)."""
        logits = self.logits
        return logits.logsumexp(1) - _own(logits, self.labels)


def feature_geometry(
    model: nn.Module,
    data: Any,
    *,
    head: nn.Module | str | None = None,
    batch_size: int = 256,
    show_progress: bool = False,
) -> FeatureGeometry:
    """Angles, norms and margins before the model's linear head.

    Args:
        model: its output is (batch, classes), made by an ``nn.Linear``; in evaluation mode.
            It is not changed.
        data: a DataLoader that does not shuffle, a Dataset, or a tuple of tensors; labels
            last. The model is called as ``model(*batch[:-1])``.
        head (optional): the linear layer or its path. Default: None, the last ``nn.Linear``
            that is called. That the outputs are what it makes of its input is checked on
            every batch.
        batch_size (optional): where the data are no loader. Default: 256.
        show_progress (optional): a bar. Default: False.

    Raises:
        CompanionInputError: no linear head, or equal rows in it; labels that are missing or
            out of range; features that are all 0, for they have no angle; no examples; a model
            in training mode.
        LayerError: no such path.

    Cost: one pass of the model over the data. Memory: one batch, and four numbers for each
    example and class.

    >>> import torch
    >>> from captum_ilin.companions.geometry import feature_geometry
    >>> nn = torch.nn
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    >>> x, labels = torch.randn(50, 4).double(), torch.randint(3, (50,))
    >>> found = feature_geometry(model, (x, labels))
    >>> found
    FeatureGeometry(head '2', 50 examples, 3 classes)
    >>> found.angles.shape, found.norms.shape, found.margins.shape
    (torch.Size([50, 3]), torch.Size([50]), torch.Size([50, 3]))
    >>> loss = nn.functional.cross_entropy(model(x), labels, reduction="none")
    >>> torch.allclose(found.cross_entropy, loss, rtol=1e-12)
    True
    """
    check_model(model)
    with torch.random.fork_rng(devices=[]):
        batches = batches_of(
            model, data, batch_size=batch_size, name="features", show_progress=show_progress
        )
        return _read(model, batches, head)


@dataclass(frozen=True)
class _Part:
    """What one batch gives."""

    labels: Tensor
    angles: Tensor
    norms: Tensor
    margins: Nearest
    difference: float
    largest: float


def _read(
    model: nn.Module, batches: Iterator[Batch], named: nn.Module | str | None
) -> FeatureGeometry:
    """All batches; the head is found on the first."""
    head: Head | None = None
    norms = torch.empty(0)
    parts: list[_Part] = []
    for batch in batches:
        if head is None:
            head = find_head(model, batch.inputs, named)
            check_repeats(head, batch.inputs)
            norms = _row_distances(head)
        parts.append(_part(head, batch, norms))
    if head is None:
        raise missing_examples()
    return _geometry(head, parts)


def _geometry(head: Head, parts: list[_Part]) -> FeatureGeometry:
    largest = max(part.largest for part in parts)
    difference = max(part.difference for part in parts)
    return FeatureGeometry(
        head.path,
        torch.cat([part.labels for part in parts]),
        torch.cat([part.angles for part in parts]),
        torch.cat([part.norms for part in parts]),
        torch.cat([part.margins.distance for part in parts]),
        torch.cat([part.margins.rival for part in parts]),
        _weight(head).norm(dim=1),
        _bias(head),
        difference / largest if largest else difference,
    )


def _part(head: Head, batch: Batch, norms: Tensor) -> _Part:
    features, outputs = head.read(batch.inputs)
    check_labels(batch, outputs)
    x, weight, bias = features.cpu().double(), _weight(head), _bias(head)
    lengths = x.norm(dim=1)
    _check_lengths(lengths, batch.start)
    cosines = (x @ weight.T) / (lengths[:, None] * weight.norm(dim=1))
    logits = x @ weight.T + bias
    own = outputs.cpu().double()
    return _Part(
        batch.labels,
        cosines.clamp(-1, 1).acos(),
        lengths,
        signed_margins(logits, norms),
        float((own - logits).abs().max()),
        float(own.abs().max()),
    )


def _check_lengths(lengths: Tensor, start: int) -> None:
    dead = (lengths == 0).nonzero()
    if len(dead):
        raise CompanionInputError(
            f"The features of example {start + int(dead[0])} are all 0 ({len(dead)} in its "
            "batch), so that they have no angle to any row of the head: every unit before it "
            "is dead there. Leave such examples out, or prune less."
        )


def _row_distances(head: Head) -> Tensor:
    """‖W_i − W_j‖, (classes, classes), of a head whose rows all differ and are not 0."""
    weight = _weight(head)
    zero = (weight.norm(dim=1) == 0).nonzero()
    if len(zero):
        raise CompanionInputError(
            f"Row {int(zero[0])} of the head {head.path!r} is all 0, so that no feature has an "
            "angle to it. Prune the head less, or not at all."
        )
    norms = pair_norms(weight)
    equal = (norms == 0).triu(1).nonzero()
    if len(equal):
        i, j = equal[0].tolist()
        raise CompanionInputError(
            f"Rows {i} and {j} of the head {head.path!r} are equal, so that no boundary is "
            "between their classes and their margin is undefined. Merge the two classes."
        )
    return norms


def _weight(head: Head) -> Tensor:
    return head.module.weight.detach().cpu().double()


def _bias(head: Head) -> Tensor:
    if head.module.bias is None:
        return torch.zeros(head.classes, dtype=torch.float64)
    return head.module.bias.detach().cpu().double()


def _own(values: Tensor, labels: Tensor) -> Tensor:
    return values.gather(1, labels[:, None])[:, 0]
