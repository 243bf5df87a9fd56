"""``Row``: one number of a run, with all that tells it from any other."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Row"]


@dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        run: the suite's name and seed.
        dataset, model, model_seed: which network.
        method, method_hash: which method, and a hash of its parameters.
        sample, target: which example, and the output explained.
        metric, variant, metric_hash: which metric, its parameters for a reader (such as
            "baseline=mean", "" for the defaults) and a hash of all of them.
        quantity: which of the metric's numbers ("" for its only one).
        seed: the number of the randomisation, or None.
        layer: the layer randomised last, or None.
        step: where on a curve, from 0 to 1, or None.
        value: the number; None (NaN in a frame) where it is undefined or the cell failed.
        reason: why it is missing; None where it is not.
        failed: whether the reason is an error that was raised.
        part, parts: the row's number in its cell's group and the group's size; a group that
            is not whole was cut off and is done again.
    """

    run: str
    dataset: str
    model: str
    model_seed: int | None
    method: str
    method_hash: str
    sample: int
    target: int
    metric: str
    variant: str
    metric_hash: str
    quantity: str = ""
    seed: int | None = None
    layer: str | None = None
    step: float | None = None
    value: float | None = None
    reason: str | None = None
    failed: bool = False
    part: int = 0
    parts: int = 1
