"""``InputGeometry``: angle, norm and margin of examples in the space of the inputs.

A network is F(x) = W x + b at each of its inputs, so that what `FeatureGeometry` says of the
features and the head's rows is said of the pixels and W's rows:

    F_i = w_i·x + b_i = ‖w_i‖ ‖x‖ cos θ_i + b_i,
    margin = ± min over j of |(w_p − w_j)·x + b_p − b_j| / ‖w_p − w_j‖,

p the predicted class, the sign − where it is not the label. W and b are those of this example.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.companions.errors import CompanionInputError
from captum_ilin.companions.geometry.boundary import (
    LocalBoundary,
    boundary_of,
    check_reach,
    rows_of,
)
from captum_ilin.companions.geometry.examples import (
    Batch,
    batches_of,
    check_evaluating,
    check_labels,
    check_model,
    missing_examples,
)
from captum_ilin.linearization import linearize

if TYPE_CHECKING:
    from torch import nn

    from captum_ilin.ruletable import RuleTable

__all__ = ["InputGeometry", "input_geometry"]


@dataclass(frozen=True, repr=False)
class InputGeometry:
    """Where examples lie in the input space. Made by `input_geometry`; numbers are float64.

    Attributes:
        labels: (n,).
        logits: F, (n, classes), as the model has them.
        angles: θ_i in radians between x and w_i, (n, classes); NaN where either is 0.
        norms: ‖x‖, (n,).
        row_norms: ‖w_i‖, (n, classes).
        biases: b_i, (n, classes), measured on their own.
        distances: from x to the nearest boundary of its map, (n,): `LocalBoundary`.
        rivals: the class beyond it, (n,).
        exits: how far towards it the region ends, (n,).
        exit_units: what ends it, op and module.
        radii: to the end of the region in the worst direction, (n,).
    """

    labels: Tensor
    logits: Tensor
    angles: Tensor
    norms: Tensor
    row_norms: Tensor
    biases: Tensor
    distances: Tensor
    rivals: Tensor
    exits: Tensor
    exit_units: tuple[str, ...]
    radii: Tensor

    def __repr__(self) -> str:
        count, classes = self.logits.shape
        return f"InputGeometry({count} examples, {classes} classes)"

    def __len__(self) -> int:
        return len(self.labels)

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
        return self.angles.gather(1, self.labels[:, None])[:, 0]

    @property
    def norm(self) -> Tensor:
        """‖x‖, (n,)."""
        return self.norms

    @property
    def margin(self) -> Tensor:
        """The distance to the nearest boundary of the map, (n,); negative if misclassified."""
        return torch.where(self.is_correct, self.distances, -self.distances)

    @property
    def confidence(self) -> Tensor:
        """The largest softmax, (n,)."""
        return self.logits.softmax(1).amax(1)

    @property
    def is_inside(self) -> Tensor:
        """Whether the boundary is reached before the region ends, (n,): `LocalBoundary`."""
        return (self.exits >= self.distances) & torch.isfinite(self.distances)

    @property
    def is_certified(self) -> Tensor:
        """Whether no boundary is nearer, (n,)."""
        return self.radii >= self.distances

    @property
    def lower_bounds(self) -> Tensor:
        """No step shorter than this changes the prediction, (n,); NaN without radii."""
        return torch.minimum(self.distances, self.radii)

    @property
    def completeness_error(self) -> float:
        """The largest |‖w_i‖ ‖x‖ cos θ_i + b_i − F_i|, relative to the largest |F|."""
        products = self.row_norms * self.norms[:, None] * self.angles.cos()
        off = (products.nan_to_num(0.0) + self.biases - self.logits).abs().max()
        largest = self.logits.abs().max()
        return float(off / largest) if largest else float(off)


def input_geometry(
    model: nn.Module,
    data: Any,
    *,
    reach: str | None = "margin_bound",
    rules: RuleTable | None = None,
    batch_size: int = 256,
    show_progress: bool = False,
) -> InputGeometry:
    """Angles, norms and margins in the input space, and whether the region reaches that far.

    The model needs no linear head, only logits. For regions it should be piecewise linear and
    in float64, as its inputs.

    Args:
        model: returns logits, (batch, classes), each row's from that row alone; in evaluation
            mode. It is not changed.
        data: as in `feature_geometry`.
        reach (optional): as in `local_boundary`. Default: "margin_bound".
        rules (optional): of the freezing, which matter for networks that are not piecewise
            linear. Default: None, ``DEFAULT_RULES``.
        batch_size (optional): of what is loaded at once, where the data are no loader; examples
            are linearized one by one. Default: 256.
        show_progress (optional): a bar. Default: False.

    Raises:
        CompanionInputError: labels that are missing or out of range, no examples, no logits of
            two classes, dropout or batch norm in training mode, a network without a region
            where ``reach`` is not None.
        RegionError: the region has too many units for "margin".

    Cost: for each example a forward pass and, for each class, a backward pass and that of the
    bias; then `local_boundary`'s. Memory: W of one example, (classes, features).

    >>> import torch
    >>> from captum_ilin.companions.geometry import input_geometry
    >>> nn = torch.nn
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    >>> x, labels = torch.randn(5, 4).double(), torch.randint(3, (5,))
    >>> found = input_geometry(model, (x, labels), reach="margin")
    >>> found.margin.shape, found.is_certified.shape
    (torch.Size([5]), torch.Size([5]))
    >>> bool((found.lower_bounds <= found.distances).all())
    True
    >>> found.completeness_error < 1e-12
    True
    """
    check_model(model)
    check_evaluating(model)
    check_reach(reach)
    with torch.random.fork_rng(devices=[]):
        batches = batches_of(
            model, data, batch_size=batch_size, name="inputs", show_progress=show_progress
        )
        found = [
            _example(model, batch, row, reach, rules)
            for batch in batches
            for row in range(len(batch.labels))
        ]
    if not found:
        raise missing_examples()
    boundaries = [example.boundary for example in found]
    return InputGeometry(
        torch.stack([example.label for example in found]),
        _stacked(found, "logits"),
        _stacked(found, "angles"),
        _stacked(found, "norms"),
        _stacked(found, "row_norms"),
        _stacked(found, "biases"),
        _numbers([each.distance for each in boundaries]),
        torch.tensor([each.rival for each in boundaries]),
        _numbers([each.exit for each in boundaries]),
        tuple(each.exit_unit for each in boundaries),
        _numbers([each.radius for each in boundaries]),
    )


@dataclass(frozen=True)
class _Example:
    label: Tensor
    logits: Tensor
    angles: Tensor
    norms: Tensor
    row_norms: Tensor
    biases: Tensor
    boundary: LocalBoundary


def _example(
    model: nn.Module, batch: Batch, row: int, reach: str | None, rules: RuleTable | None
) -> _Example:
    inputs = tuple(_row(value, row, batch) for value in batch.inputs)
    one = Batch(inputs, batch.labels[row : row + 1], batch.start + row)
    affine_map = linearize(model, inputs if len(inputs) > 1 else inputs[0], rules=rules)
    check_labels(one, affine_map.outputs)
    rows = rows_of(affine_map)
    x = torch.cat([part.flatten() for part in inputs])
    norm, row_norms = x.norm(), rows.norm(dim=1)
    return _Example(
        one.labels[0],
        affine_map.outputs[0],
        ((rows @ x) / (row_norms * norm)).clamp(-1, 1).acos(),
        norm,
        row_norms,
        affine_map.bias()[0],
        boundary_of(affine_map, rows, reach),
    )


def _row(value: Any, row: int, batch: Batch) -> Tensor:
    if not isinstance(value, Tensor) or not value.is_floating_point() or not value.dim():
        found = f"{value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise CompanionInputError(
            f"The inputs must be tensors of floating point, because distances are between "
            f"them, but example {batch.start + row} holds {found}. Linearize from the "
            "embeddings on, or give numbers."
        )
    if not bool(torch.isfinite(value[row]).all()):
        raise CompanionInputError(
            f"The inputs of example {batch.start + row} are NaN or infinite, so that it has no "
            "margin. Leave the example out."
        )
    return value[row : row + 1]


def _stacked(found: list[_Example], name: str) -> Tensor:
    return torch.stack([getattr(example, name) for example in found]).cpu().double()


def _numbers(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
