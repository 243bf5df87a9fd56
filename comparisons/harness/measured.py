"""The rows of a unit: one attribution, and every measure of it."""

from __future__ import annotations

import math
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from captum_ilin.metrics import drawing_from
from comparisons.harness.loading import Unavailable
from comparisons.harness.plan import hash_of_method
from comparisons.measures.measure import Case, Value
from comparisons.records import Row
from comparisons.records.digest import seed_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from comparisons.harness.loading import Loaded
    from comparisons.harness.plan import Unit
    from comparisons.harness.registry import Registry
    from comparisons.harness.suite import MeasureChoice, Suite

__all__ = ["measured"]

LONGEST = 500  # of a reason, in characters


@dataclass(frozen=True)
class Failure:
    """What was raised in place of values."""

    reason: str


def measured(
    suite: Suite,
    registry: Registry,
    unit: Unit,
    choices: Sequence[MeasureChoice],
    network: Loaded,
    heard: set[str],
) -> Iterator[list[Row]]:
    """A group of rows for each measure; an error makes a failed row.

    What is drawn follows from the suite's seed, the model, the example and the measure, not
    from the method: methods are compared on the same draws. The warnings before a group are
    in ``heard`` when it comes.
    """
    if isinstance(network, Unavailable):
        for choice in choices:
            failure = Failure(network.reason)
            yield _rows(suite, registry, unit, choice, "", -1, failure)
        return
    case = Case(
        network, registry.methods[unit.method], unit.example, _seed(suite, unit, "attributions")
    )
    with _drawing(case.seed, heard):
        error = _attribution_error(case, registry, choices)
    for choice in choices:
        seed = _seed(suite, unit, choice.label)
        with _drawing(seed, heard):
            found = _values(case, registry, choice, seed, error)
        yield _rows(suite, registry, unit, choice, network.dataset, case.target, found)


def _seed(suite: Suite, unit: Unit, purpose: str) -> int:
    return seed_of(suite.seed, unit.model, unit.model_seed, unit.example, purpose)


def _attribution_error(
    case: Case, registry: Registry, choices: Sequence[MeasureChoice]
) -> Failure | None:
    """Compute the attribution; not where no measure could use it."""
    try:
        if any(_undefined(case, registry, choice) is None for choice in choices):
            _ = case.attributions
    except Exception as error:
        return Failure(_reason(error))
    return None


def _values(
    case: Case,
    registry: Registry,
    choice: MeasureChoice,
    seed: int,
    error: Failure | None,
) -> list[Value] | Failure:
    try:
        undefined = _undefined(case, registry, choice)
        if undefined is not None:
            return [Value(math.nan, undefined)]
        if error is not None:
            return error
        measure = registry.measures[choice.name]
        found = list(measure.run(case.drawing(seed), **choice.parameters))
    except Exception as raised:
        return Failure(_reason(raised))
    return found or [Value(math.nan, "the measure gave no value")]


def _undefined(case: Case, registry: Registry, choice: MeasureChoice) -> str | None:
    return registry.measures[choice.name].undefined(case.method, case.network)


def _reason(error: Exception) -> str:
    """One line, without the addresses in which two runs would differ."""
    return _told(type(error).__name__, error)


def _told(kind: str, message: object) -> str:
    said = re.sub(r"0x[0-9a-f]+", "0x…", " ".join(str(message).split()))
    return f"{kind}: {said}"[:LONGEST]


def _rows(
    suite: Suite,
    registry: Registry,
    unit: Unit,
    choice: MeasureChoice,
    dataset: str,
    target: int,
    found: list[Value] | Failure,
) -> list[Row]:
    failed = isinstance(found, Failure)
    values = [Value(math.nan, found.reason)] if isinstance(found, Failure) else found
    return [
        Row(
            run=f"{suite.name}-{suite.seed}",
            dataset=dataset,
            model=unit.model,
            model_seed=unit.model_seed,
            method=unit.method,
            method_hash=hash_of_method(registry.methods[unit.method]),
            sample=unit.example,
            target=target,
            metric=choice.name,
            variant=choice.variant,
            metric_hash=choice.hash,
            quantity=value.quantity,
            seed=value.seed,
            layer=value.layer,
            step=value.step,
            value=float(value.value) if math.isfinite(value.value) else None,
            reason=None if math.isfinite(value.value) else _missing(value),
            failed=failed,
            part=part,
            parts=len(values),
        )
        for part, value in enumerate(values)
    ]


def _missing(value: Value) -> str:
    return value.reason or f"the measure gave {float(value.value)} and no reason"


@contextmanager
def _drawing(seed: int, heard: set[str]) -> Iterator[None]:
    """Every global generator from a seed, and as it was after; warnings are heard.

    From one of their own: what a method draws must not be what the measure perturbs with.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            with drawing_from(seed_of(seed, "global generators")):
                yield
        finally:
            heard.update(_told(one.category.__name__, one.message) for one in said)
