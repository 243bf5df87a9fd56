"""Faithfulness: does the output change as the attributions say when features are perturbed?"""

from captum_ilin.metrics.faithfulness.areas import (
    CurveOptions,
    deletion,
    insertion,
    lerf,
    morf,
    selectivity,
)
from captum_ilin.metrics.faithfulness.correlation import faithfulness_correlation
from captum_ilin.metrics.faithfulness.curve import Curve
from captum_ilin.metrics.faithfulness.flipping import perturbation_curve
from captum_ilin.metrics.faithfulness.gain import srg
from captum_ilin.metrics.faithfulness.infidelities import infidelity
from captum_ilin.metrics.faithfulness.perturbations import (
    BaselineSubset,
    GaussianNoise,
    Perturbation,
)

__all__ = [
    "BaselineSubset",
    "Curve",
    "CurveOptions",
    "GaussianNoise",
    "Perturbation",
    "deletion",
    "faithfulness_correlation",
    "infidelity",
    "insertion",
    "lerf",
    "morf",
    "perturbation_curve",
    "selectivity",
    "srg",
]
