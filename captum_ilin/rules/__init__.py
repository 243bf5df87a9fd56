"""The named rule tables.

``DEFAULT_RULES`` holds gates, attention patterns and scale statistics, and takes secants of
functions with φ(0) = 0. ``TANGENT_RULES`` takes every op's own tangent, so that W is the true
Jacobian and b = F − J x0.
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
    passthrough,
    pointwise,
    powers,
    products,
    recurrent,
    refused,
    selection,
    special,
    spectral,
)
from captum_ilin.rules.references import references_of
from captum_ilin.rules.tangents import tangents_of

__all__ = ["DEFAULT_RULES", "REFERENCE_RULES", "TANGENT_RULES"]

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
