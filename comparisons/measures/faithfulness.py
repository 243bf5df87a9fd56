"""Faithfulness in the harness: infidelity, correlation, perturbation curves and their areas.

All on logits unless ``softmax`` is set. Parameters that several measures share, beside
``baseline`` and ``features`` (see ``removal``):

relative      curves rescaled to 1 at the input and 0 at the baseline.
perturbation  of the infidelity: "baseline", random subsets of features, each feature with
              ``probability``; "gaussian", noise of ``scale`` standard deviations of the
              network's inputs. Noise is divided by x − x' where attributions are
              contributions, so that one which is no multiple of x − x' explodes where the
              two are close.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from comparisons.measures.removal import baseline_of, groups_of, where_known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from captum_ilin.metrics import Perturbation, Scores
    from comparisons.measures.measure import Case
    from comparisons.models.network import Network

__all__ = ["MEASURES"]


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
            baselines=baseline_of(case, baseline),
            feature_mask=groups_of(case, features),
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
        baselines=baseline_of(case, baseline),
        feature_mask=groups_of(case, features),
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
        "baselines": {name: baseline_of(case, name) for name in baselines}
    }
    return values_of(srg(case.model, case.inputs, case.attributions, **given, **options))


def _given(case: Case, baseline: str, features: str) -> dict[str, Any]:
    return {
        "target": case.target,
        "baselines": baseline_of(case, baseline),
        "feature_mask": groups_of(case, features),
        "seed": case.seed,
    }


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
            where_known(_infidelity),
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
            where_known(_correlation),
            "Pearson's of Σ_S φ with F(x) − F(x with S at x') over random S (Bhatt 2020)",
            {"runs": 100, "subset_size": 0.2, "baseline": "zero", "features": "groups"},
            forwards=lambda parameters: int(parameters["runs"]) + 1,
        ),
        Measure(
            "deletion",
            "faithfulness",
            LOWER | {"curve": Direction.LOWER},
            where_known(_curve("inputs", deletion)),
            "area under F while the most relevant features are removed (Petsiuk 2018)",
            ZERO,
            forwards=_rows_of_a_curve,
        ),
        Measure(
            "insertion",
            "faithfulness",
            HIGHER | {"curve": Direction.HIGHER},
            where_known(_curve("baseline", insertion)),
            "area under F while the most relevant features are put in (Petsiuk 2018)",
            ZERO,
            forwards=_rows_of_a_curve,
        ),
        Measure(
            "morf",
            "faithfulness",
            LOWER,
            where_known(_area(morf)),
            "area under F, most relevant features removed first (Samek 2017)",
            OTHER,
            forwards=_rows_of_a_curve,
        ),
        Measure(
            "lerf",
            "faithfulness",
            HIGHER,
            where_known(_area(lerf)),
            "area under F, least relevant features removed first (Samek 2017)",
            OTHER,
            forwards=_rows_of_a_curve,
        ),
        Measure(
            "srg",
            "faithfulness",
            HIGHER,
            where_known(_gain),
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
            where_known(_area(selectivity)),
            "area under F before each removal, most relevant regions first (Montavon 2018)",
            ZERO,
            forwards=_rows_of_a_curve,
        ),
    )
}
