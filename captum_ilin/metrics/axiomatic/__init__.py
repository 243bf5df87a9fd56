"""Axioms that attributions are said to fulfil, each as a number for each example."""

from captum_ilin.metrics.axiomatic.combinations import linearity
from captum_ilin.metrics.axiomatic.completeness import (
    baseline_completeness,
    bias_share,
    declared_completeness,
)
from captum_ilin.metrics.axiomatic.fidelity import LocalFidelity, local_fidelity
from captum_ilin.metrics.axiomatic.invariance import (
    implementation_invariance,
    input_invariance,
)
from captum_ilin.metrics.axiomatic.sensitivity import sensitivity_n
from captum_ilin.metrics.axiomatic.unused import dummy

__all__ = [
    "LocalFidelity",
    "baseline_completeness",
    "bias_share",
    "declared_completeness",
    "dummy",
    "implementation_invariance",
    "input_invariance",
    "linearity",
    "local_fidelity",
    "sensitivity_n",
]
