"""The named rule tables.

``DEFAULT_RULES`` holds gates, attention patterns and scale statistics, and takes secants of
functions with φ(0) = 0. ``TANGENT_RULES`` takes every op's own tangent, so that W is the true
Jacobian and b = F − J x0. ``ATTNLRP_RULES`` splits products evenly and holds scale statistics
alone; ``SPLIT_RULES`` splits the products inside the norms too.
"""

from captum_ilin.rules import (
    algebra,
    attention,
    batchnorm,
    constants,
    convolution,
    embeddings,
    exported,
    kernels,
    layers,
    multihead,
    normalization,
    normsplits,
    passthrough,
    pointwise,
    powers,
    products,
    recurrent,
    refused,
    selection,
    special,
    spectral,
    splits,
)
from captum_ilin.rules.references import references_of
from captum_ilin.rules.tangents import tangents_of

__all__ = [
    "ATTNLRP_RULES",
    "DEFAULT_RULES",
    "REFERENCE_RULES",
    "SPLIT_RULES",
    "TANGENT_RULES",
]

DEFAULT_RULES = (
    constants.RULES
    | passthrough.RULES
    | pointwise.RULES
    | powers.RULES
    | selection.RULES
    | embeddings.RULES
    | exported.RULES
    | products.RULES
    | layers.RULES
    | convolution.RULES
    | normalization.RULES
    | batchnorm.RULES
    | attention.RULES
    | multihead.RULES
    | recurrent.RULES
    | special.RULES
    | spectral.RULES
    | algebra.RULES
    | kernels.RULES
    | refused.RULES
).named("DEFAULT_RULES")
TANGENT_RULES = (tangents_of(DEFAULT_RULES) | attention.EXPLICIT | batchnorm.EXPLICIT).named(
    "TANGENT_RULES"
)
REFERENCE_RULES = references_of(DEFAULT_RULES).named("REFERENCE_RULES")
ATTNLRP_RULES = (
    splits.with_scales_as_gates(DEFAULT_RULES) | attention.EXPLICIT | splits.EXPLICIT
).named("ATTNLRP_RULES")
SPLIT_RULES = (
    splits.without_gates(DEFAULT_RULES)
    | attention.EXPLICIT
    | splits.EXPLICIT
    | normsplits.EXPLICIT
).named("SPLIT_RULES")
