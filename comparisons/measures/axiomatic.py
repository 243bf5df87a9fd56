"""Axioms in the harness; those that need another network are in ``rewritten``.

completeness               declared: against the sum that the method itself claims; baseline:
                           against F(x) − F(x') for the named baseline, the same for all.
bias_share, local_fidelity of the affine map, so of methods that are one.
sensitivity_n              at fractions of the features, and their mean.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from captum_ilin.metrics import (
    Direction,
    baseline_completeness,
    declared_completeness,
)
from captum_ilin.metrics import bias_share as share_of_bias
from captum_ilin.metrics import local_fidelity as fidelity
from captum_ilin.metrics import sensitivity_n as correlation
from comparisons.measures import rewritten
from comparisons.measures.measure import Case, Measure, Value, values_of
from comparisons.measures.removal import baseline_of, groups_of, lacking, where_known
from comparisons.methods.ilin import TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from comparisons.methods.method import Method
    from comparisons.models.network import Network

__all__ = ["MEASURES"]

LOWER = Direction.LOWER


def _completeness(case: Case, *, baseline: str) -> list[Value]:
    return [*_declared(case), *_baseline(case, baseline)]


def _declared(case: Case) -> list[Value]:
    quantities = {"declared": False, "declared_relative": True}
    if case.method.offset is None:
        reason = f"{case.method.name} does not say what its attributions add up to"
        return [Value(math.nan, reason, quantity) for quantity in quantities]
    offset = case.method.offset(case.model, case.inputs, case.target, case.setting)
    found = []
    for quantity, relative in quantities.items():
        scores = declared_completeness(
            case.model,
            case.inputs,
            case.attributions,
            offset=offset,
            target=case.target,
            relative=relative,
        )
        found += values_of(scores, quantity)
    return found


def _baseline(case: Case, name: str) -> list[Value]:
    reason = lacking(case.network, name)
    if reason is not None:
        return [Value(math.nan, reason, "baseline")]
    scores = baseline_completeness(
        case.model,
        case.inputs,
        case.attributions,
        baselines=baseline_of(case, name),
        target=case.target,
    )
    return values_of(scores, "baseline")


def _bias_share(case: Case) -> list[Value]:
    assert case.method.offset is not None  # a map's is its bias
    bias = case.method.offset(case.model, case.inputs, case.target, case.setting)
    return values_of(share_of_bias(case.model, case.inputs, bias, target=case.target))


def _local_fidelity(case: Case, *, radius: float, samples: int) -> list[Value]:
    found = fidelity(
        case.model,
        case.inputs,
        target=case.target,
        rules=TABLES[case.method.parameters["rules"]],
        radius=radius,
        samples=samples,
        seed=case.seed,
    )
    return values_of(found.error, "error") + values_of(found.inside, "inside")


def _sensitivity_n(
    case: Case, *, sizes: Sequence[float], subsets: int, baseline: str, features: str
) -> list[Value]:
    """One value for each size, as quantity "curve", and their mean."""
    if not all(0 < size < 1 for size in sizes):
        raise ValueError(
            f"sizes is {sizes}; expected shares of the features, above 0, below 1."
        )
    mask = groups_of(case, features)
    count = case.inputs[0].numel() if mask is None else int(mask.max()) + 1
    at = partial(
        correlation,
        case.model,
        case.inputs,
        case.attributions,
        target=case.target,
        baselines=baseline_of(case, baseline),
        feature_mask=mask,
        subsets=subsets,
        seed=case.seed,
    )
    found = []
    for size in sizes:
        features_removed = min(max(round(size * count), 1), count - 1)
        found += values_of(at(sizes=features_removed), "curve", step=size)
    reason = next((value.reason for value in found if value.reason), None)
    mean = math.nan if reason else sum(value.value for value in found) / len(found)
    return [Value(mean, reason), *found]


def _slopes_add_up_to_nothing(method: Method, network: Network) -> str | None:
    if method.is_contribution:
        return None
    return f"{method.name} gives slopes, not contributions: they add up to nothing"


def _no_map(method: Method, network: Network) -> str | None:
    """Methods with nothing but a rule table are the map under it, W ∘ x and b."""
    if set(method.parameters) == {"rules"}:
        return None
    return f"{method.name} is not W ∘ x of an affine map"


def _rows_of_subsets(parameters: Mapping[str, Any]) -> int:
    return len(parameters["sizes"]) * (1 + int(parameters["subsets"]))


MEASURES = {
    measure.name: measure
    for measure in (
        Measure(
            "completeness",
            "axiomatic",
            dict.fromkeys(("declared", "declared_relative", "baseline"), LOWER),
            _completeness,
            "declared |Σφ + φ0 − F(x)|, over |F(x)| if relative; baseline "
            "|Σφ − (F(x) − F(x'))| (Sundararajan 2017)",
            {"baseline": "zero"},
            undefined=_slopes_add_up_to_nothing,
            attributions=lambda parameters: 1,
            forwards=lambda parameters: 4,
            rounding={"declared": 1e-4, "declared_relative": 1e-5, "baseline": 1e-4},
            medians=("declared_relative",),
        ),
        Measure(
            "bias_share",
            "axiomatic",
            {"": Direction.DESCRIPTIVE},
            _bias_share,
            "|b| / |F(x)|, b from the ledger",
            undefined=_no_map,
            attributions=lambda parameters: 1,
            forwards=lambda parameters: 1,
            medians=("",),
        ),
        Measure(
            "local_fidelity",
            "axiomatic",
            {"error": LOWER, "inside": Direction.DESCRIPTIVE},
            _local_fidelity,
            "max |F(x+δ) − (W(x+δ) + b)| over δ that leave W as it is; their share",
            {"radius": 1e-3, "samples": 32},
            undefined=_no_map,
            attributions=lambda parameters: 1 + int(parameters["samples"]),
            forwards=lambda parameters: int(parameters["samples"]),
        ),
        Measure(
            "sensitivity_n",
            "axiomatic",
            dict.fromkeys(("", "curve"), Direction.HIGHER),
            where_known(_sensitivity_n),
            "Pearson's of Σ_S φ with F(x) − F(x with S at x'), |S| = n (Ancona 2018)",
            {
                "sizes": (0.01, 0.05, 0.2, 0.5, 0.8),
                "subsets": 50,
                "baseline": "zero",
                "features": "groups",
            },
            forwards=_rows_of_subsets,
        ),
    )
} | rewritten.MEASURES
