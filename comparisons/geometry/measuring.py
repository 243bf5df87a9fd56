"""The readings of a network before and after each condition, as records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from captum_ilin.companions.geometry import (
    FeatureGeometry,
    GeometryShift,
    InputGeometry,
    compare,
    feature_geometry,
    input_geometry,
)
from comparisons.geometry.conditions import CONDITIONS, Condition
from comparisons.geometry.prediction import Outcome, areas, interval_of
from comparisons.geometry.records import (
    FailureRecord,
    NetworkRecord,
    PredictorRecord,
    ShiftRecord,
)
from comparisons.models.network import hash_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

__all__ = [
    "CONFIDENCE",
    "FEATURE_MARGIN",
    "INPUT_MARGIN",
    "IN_BOTH_SPACES",
    "PREDICTORS",
    "Reading",
    "network_record",
    "predictors",
    "read",
    "records_of",
]

INPUT_MARGIN, FEATURE_MARGIN = "input margin", "feature margin"
CONFIDENCE = "softmax confidence"
PREDICTORS = (INPUT_MARGIN, FEATURE_MARGIN, CONFIDENCE, "angle (negative)", "feature norm")
IN_BOTH_SPACES = ("pruned 90 %", "noise 0.2")  # the others' inputs are read before alone
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TEN = 10


@dataclass(frozen=True)
class Reading:
    """One network on clean images, and what its features are after each condition."""

    seed: int
    model: nn.Module
    images: Tensor
    labels: Tensor
    features: FeatureGeometry
    inputs: InputGeometry
    shifts: dict[str, GeometryShift]

    def scores(self) -> dict[str, Tensor]:
        """What is known of each image before, (n,) each; lower is more fragile."""
        read = self.features
        numbers = (self.inputs.margin, read.margin, read.confidence, -read.angle, read.norm)
        return dict(zip(PREDICTORS, numbers, strict=True))


def read(seed: int, model: nn.Module, images: Tensor, labels: Tensor) -> Reading:
    """The network in both spaces, and before its head after each condition."""
    features = feature_geometry(model, (images, labels))
    shifts = {}
    for condition in CONDITIONS:
        changed, seen = condition.apply(model, images)
        shifts[condition.name] = compare(features, feature_geometry(changed, (seen, labels)))
    inputs = input_geometry(model, (images, labels), reach=None)
    return Reading(seed, model, images, labels, features, inputs, shifts)


def network_record(name: str, reading: Reading) -> NetworkRecord:
    """Exactness and accuracy on clean images."""
    with torch.no_grad():
        logits = reading.model(reading.images)
    expected = F.cross_entropy(logits, reading.labels, reduction="none")
    return NetworkRecord(
        name,
        reading.seed,
        hash_of(reading.model.state_dict()),
        len(reading.images),
        float(reading.features.is_correct.double().mean()),
        float((reading.features.cross_entropy - expected).abs().max()),
        reading.inputs.completeness_error,
    )


def records_of(reading: Reading) -> Iterator[ShiftRecord | FailureRecord]:
    """The shifts of every condition, and who fails."""
    for condition in CONDITIONS:
        shift = reading.shifts[condition.name]
        yield from _shifts(reading.seed, condition, "features", shift)
        yield _failures(reading, condition, shift)
        if condition.name in IN_BOTH_SPACES:
            model, images = condition.apply(reading.model, reading.images)
            after = input_geometry(model, (images, reading.labels), reach=None)
            yield from _shifts(
                reading.seed, condition, "inputs", compare(reading.inputs, after)
            )


def _shifts(
    seed: int, condition: Condition, space: str, shift: GeometryShift
) -> Iterator[ShiftRecord]:
    for metric in ("angle", "norm", "margin"):
        before, after = (
            tuple(float(value) for value in values)
            for values in shift.quantiles(metric, QUANTILES)
        )
        distance = shift.wasserstein(metric)
        yield ShiftRecord(seed, condition.name, space, metric, before, after, distance)


def _failures(reading: Reading, condition: Condition, shift: GeometryShift) -> FailureRecord:
    right = shift.before.is_correct
    scores = reading.scores()

    def among(name: str) -> int:
        order = scores[name].masked_fill(~right, torch.inf).argsort()
        return int(shift.has_failed[order[:TEN]].sum())

    return FailureRecord(
        reading.seed,
        condition.name,
        int(right.sum()),
        int(shift.has_failed.sum()),
        float(shift.after.is_correct.double().mean()),
        tuple(shift.fragile(TEN).indices.tolist()),
        among(INPUT_MARGIN),
        among(FEATURE_MARGIN),
        among(CONFIDENCE),
    )


def predictors(readings: Sequence[Reading]) -> Iterator[PredictorRecord]:
    """The AUC of each number under each condition, with paired differences."""
    for condition in CONDITIONS:
        shifts = [reading.shifts[condition.name] for reading in readings]
        failed = sum(int(shift.has_failed.sum()) for shift in shifts)
        found = {name: areas(_outcomes(readings, shifts, name)) for name in PREDICTORS}
        for name, values in found.items():
            each = values, values - found[CONFIDENCE], values - found[FEATURE_MARGIN]
            ends = [interval_of(numbers) for numbers in each]
            area, beside_confidence, beside_margin = (
                (end.value, end.low, end.high) for end in ends
            )
            yield PredictorRecord(
                condition.name, name, area, beside_confidence, beside_margin, failed
            )


def _outcomes(
    readings: Sequence[Reading], shifts: Sequence[GeometryShift], name: str
) -> list[Outcome]:
    return [
        Outcome(
            shift.before.is_correct.numpy(),
            shift.has_failed.numpy(),
            reading.scores()[name].numpy(),
        )
        for reading, shift in zip(readings, shifts, strict=True)
    ]
