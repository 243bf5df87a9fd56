"""Faithfulness in the harness: infidelity, correlation, perturbation curves and their areas.

All on logits unless ``softmax`` is set. Parameters that several measures share:

baseline      a baseline of the network by name, or "other": the first it has of blur, mean,
              noise, or else any but zero. Where a network lacks it, the value is missing and
              says so.
features      what is removed at once: "groups", the network's feature mask, or the pixels of
              an image whose network has none; "values", every input value by itself.
relative      curves rescaled to 1 at the input and 0 at the baseline.
perturbation  of the infidelity: "baseline", random subsets of features, each feature with
              ``probability``; "gaussian", noise of ``scale`` standard deviations of the
              network's inputs. Noise is divided by x − x' where attributions are
              contributions, so that one which is no multiple of x − x' explodes where the
              two are close.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from captum_ilin.metrics import (
    BaselineSubset,
    Direction,
    GaussianNoise,
    deletion,
    faithfulness_correlation,
    infidelity,
    insertion,
    lerf,
    morf,
    perturbation_curve,
    selectivity,
    srg,
)
from comparisons.measures.measure import Measure, Value, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from captum_ilin.metrics import Perturbation, Scores
    from comparisons.measures.measure import Case
    from comparisons.models.network import Network

__all__ = ["MEASURES"]

VARYING = ("blur", "mean", "noise")  # in this order: the less it adds of its own, the sooner


def _infidelity(
    case: Case, *, perturbation: str, samples: int, baseline: str, features: str, **sizes: float
) -> list[Value]:
    """Raw and β-normalised, on the same draws."""
    perturbed = _perturbation(case.network, perturbation, **sizes)
    found = []
    for quantity, normalize in (("", False), ("normalised", True)):
        scores = infidelity(
            case.model,
            case.inputs,
            case.attributions,
            multiply_by_inputs=case.method.is_contribution,
            target=case.target,
            baselines=_baseline(case, baseline),
            feature_mask=_groups(case, features),
            perturbation=perturbed,
            n_perturb_samples=samples,
            normalize=normalize,
            seed=case.seed,
        )
        found += values_of(scores, quantity)
    return found


def _perturbation(
    network: Network, name: str, *, scale: float, probability: float
) -> Perturbation:
    if name == "gaussian":
        return GaussianNoise(scale * float(network.inputs.double().std()))
    if name == "baseline":
        return BaselineSubset(probability)
    raise ValueError(
        f"perturbation is {name!r}; expected 'gaussian' (noise) or 'baseline' (random subsets "
        "of features at the baseline)."
    )


def _correlation(
    case: Case, *, runs: int, subset_size: float, baseline: str, features: str
) -> list[Value]:
    scores = faithfulness_correlation(
        case.model,
        case.inputs,
        case.attributions,
        target=case.target,
        baselines=_baseline(case, baseline),
        feature_mask=_groups(case, features),
        runs=runs,
        subset_size=subset_size,
        seed=case.seed,
    )
    return values_of(scores)


def _curve(start: Any, metric: Callable[..., Scores]) -> Callable[..., list[Value]]:
    """An area and, as quantity "curve", the points it is the area of."""

    def run(case: Case, *, baseline: str, features: str, **options: Any) -> list[Value]:
        curve = perturbation_curve(
            case.model,
            case.inputs,
            case.attributions,
            start=start,
            **_given(case, baseline, features),
            **options,
        )
        ((*points,), (*fractions,)) = curve.values.tolist()[0], curve.fractions.tolist()[0]
        (reason,) = curve.reasons
        area = curve.scores(metric.__name__, Direction.DESCRIPTIVE)
        return values_of(area) + [
            Value(point, reason, "curve", step=fraction)
            for point, fraction in zip(points, fractions, strict=True)
        ]

    return run


def _area(metric: Callable[..., Scores]) -> Callable[..., list[Value]]:
    def run(case: Case, *, baseline: str, features: str, **options: Any) -> list[Value]:
        given = _given(case, baseline, features)
        return values_of(metric(case.model, case.inputs, case.attributions, **given, **options))

    return run


def _gain(
    case: Case, *, baselines: Sequence[str], features: str, **options: Any
) -> list[Value]:
    given = _given(case, "zero", features) | {
        "baselines": {name: _baseline(case, name) for name in baselines}
    }
    return values_of(srg(case.model, case.inputs, case.attributions, **given, **options))


def _given(case: Case, baseline: str, features: str) -> dict[str, Any]:
    return {
        "target": case.target,
        "baselines": _baseline(case, baseline),
        "feature_mask": _groups(case, features),
        "seed": case.seed,
    }


def _baseline(case: Case, name: str) -> Tensor:
    return case.baseline(_named(case.network, name) or name)


def _named(network: Network, name: str) -> str | None:
    """The network's own name of a baseline; None if it has no such one."""
    if name == "zero":
        return name
    others = [known for known in network.baselines if known != "zero"]
    wanted = (*VARYING, *others) if name == "other" else (name,)
    return next((known for known in wanted if known in others), None)


def _groups(case: Case, features: str) -> Tensor | None:
    if features == "values":
        return None
    if features != "groups":
        raise ValueError(f"features is {features!r}; expected 'groups' or 'values'.")
    if case.feature_mask is not None or case.network.images is None:
        return case.feature_mask
    channels, *size = case.inputs.shape[1:]
    pixels = torch.arange(case.inputs[0, 0].numel()).reshape(1, 1, *size)
    return pixels.expand(1, channels, *size)


def _where_known(run: Callable[..., list[Value]]) -> Callable[..., list[Value]]:
    """The measure on networks that have its baselines; elsewhere a reason."""

    def known(case: Case, **parameters: Any) -> list[Value]:
        for name in parameters.get("baselines", (parameters.get("baseline"),)):
            if _named(case.network, name) is None:
                there = ", ".join({"zero": None, **dict.fromkeys(case.network.baselines)})
                reason = f"{case.network.name} has no baseline {name!r}, only: {there}"
                return [Value(math.nan, reason)]
        return run(case, **parameters)

    return known


def _rows_of_a_curve(parameters: Mapping[str, Any]) -> int:
    return int(parameters["steps"]) + 1


LOWER, HIGHER = {"": Direction.LOWER}, {"": Direction.HIGHER}
CURVE = {"steps": 50, "features": "groups", "relative": False, "softmax": False}
ZERO, OTHER = ({"baseline": name, **CURVE} for name in ("zero", "other"))

MEASURES = {
    measure.name: measure
    for measure in (
        Measure(
            "infidelity",
            "faithfulness",
            LOWER | {"normalised": Direction.LOWER},
            _where_known(_infidelity),
            "E[(β Σ I φ − (F(x) − F(x − I)))²], β = 1, or fitted where normalised; I a random "
            "subset to the baseline, or noise (Yeh 2019)",
            {
                "perturbation": "baseline",
                "scale": 0.1,
                "probability": 0.5,
                "samples": 50,
                "baseline": "zero",
                "features": "groups",
            },
            forwards=lambda parameters: 2 * (int(parameters["samples"]) + 1),
        ),
        Measure(
            "faithfulness_correlation",
            "faithfulness",
            HIGHER,
            _where_known(_correlation),
            "Pearson's of Σ_S φ with F(x) − F(x with S at x') over random S (Bhatt 2020)",
            {"runs": 100, "subset_size": 0.2, "baseline": "zero", "features": "groups"},
            forwards=lambda parameters: int(parameters["runs"]) + 1,
        ),
        Measure(
            "deletion",
            "faithfulness",
            LOWER | {"curve": Direction.LOWER},
            _where_known(_curve("inputs", deletion)),
            "area under F while the most relevant features are removed (Petsiuk 2018)",
            ZERO,
            forwards=_rows_of_a_curve,
        ),
        Measure(
            "insertion",
            "faithfulness",
            HIGHER | {"curve": Direction.HIGHER},
            _where_known(_curve("baseline", insertion)),
            "area under F while the most relevant features are put in (Petsiuk 2018)",
            ZERO,
            forwards=_rows_of_a_curve,
        ),
        Measure(
            "morf",
            "faithfulness",
            LOWER,
            _where_known(_area(morf)),
            "area under F, most relevant features removed first (Samek 2017)",
            OTHER,
            forwards=_rows_of_a_curve,
        ),
        Measure(
            "lerf",
            "faithfulness",
            HIGHER,
            _where_known(_area(lerf)),
            "area under F, least relevant features removed first (Samek 2017)",
            OTHER,
            forwards=_rows_of_a_curve,
        ),
        Measure(
            "srg",
            "faithfulness",
            HIGHER,
            _where_known(_gain),
            "lerf − morf, averaged over baselines (Blücher 2024)",
            {"baselines": ("zero", "other"), **CURVE},
            forwards=lambda parameters: (
                2 * len(parameters["baselines"]) * _rows_of_a_curve(parameters)
            ),
        ),
        Measure(
            "selectivity",
            "faithfulness",
            LOWER,
            _where_known(_area(selectivity)),
            "area under F before each removal, most relevant regions first (Montavon 2018)",
            ZERO,
            forwards=_rows_of_a_curve,
        ),
    )
}
