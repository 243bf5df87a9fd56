"""Metrics over any Captum method or attribution tensor.

>>> import torch
>>> from captum.attr import InputXGradient
>>> from captum_ilin.metrics import Direction, Scores
"""

from captum_ilin.metrics.axiomatic import (
    LocalFidelity,
    baseline_completeness,
    bias_share,
    declared_completeness,
    dummy,
    implementation_invariance,
    input_invariance,
    linearity,
    local_fidelity,
    sensitivity_n,
)
from captum_ilin.metrics.chance import drawing_from
from captum_ilin.metrics.complexity import entropy, gini
from captum_ilin.metrics.costs import Cost, Counted, cost, median_seconds
from captum_ilin.metrics.errors import MetricInputError, MetricPackageError
from captum_ilin.metrics.explaining import attributions_of
from captum_ilin.metrics.faithfulness import (
    BaselineSubset,
    Curve,
    CurveOptions,
    GaussianNoise,
    Perturbation,
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
from captum_ilin.metrics.grids import Grids, grid_of
from captum_ilin.metrics.localisation import (
    grid_pointing_game,
    pointing_game,
    relevance_auc,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
)
from captum_ilin.metrics.peak import peak_bytes
from captum_ilin.metrics.randomisation import (
    Cascade,
    Entries,
    abs_spearman,
    data_randomisation,
    efficient_mprt,
    histogram_entropy,
    hog,
    mprt,
    random_logit,
    randomisable_layers,
    redraw,
    smooth_mprt,
    spearman,
    ssim,
)
from captum_ilin.metrics.robustness import max_sensitivity
from captum_ilin.metrics.scores import Direction, Scores
from captum_ilin.metrics.stability import relative_input_stability, relative_output_stability

__all__ = [
    "BaselineSubset",
    "Cascade",
    "Cost",
    "Counted",
    "Curve",
    "CurveOptions",
    "Direction",
    "Entries",
    "GaussianNoise",
    "Grids",
    "LocalFidelity",
    "MetricInputError",
    "MetricPackageError",
    "Perturbation",
    "Scores",
    "abs_spearman",
    "attributions_of",
    "baseline_completeness",
    "bias_share",
    "cost",
    "data_randomisation",
    "declared_completeness",
    "deletion",
    "drawing_from",
    "dummy",
    "efficient_mprt",
    "entropy",
    "faithfulness_correlation",
    "gini",
    "grid_of",
    "grid_pointing_game",
    "histogram_entropy",
    "hog",
    "implementation_invariance",
    "infidelity",
    "input_invariance",
    "insertion",
    "lerf",
    "linearity",
    "local_fidelity",
    "max_sensitivity",
    "median_seconds",
    "morf",
    "mprt",
    "peak_bytes",
    "perturbation_curve",
    "pointing_game",
    "random_logit",
    "randomisable_layers",
    "redraw",
    "relative_input_stability",
    "relative_output_stability",
    "relevance_auc",
    "relevance_mass_accuracy",
    "relevance_rank_accuracy",
    "selectivity",
    "sensitivity_n",
    "smooth_mprt",
    "spearman",
    "srg",
    "ssim",
]
