"""Categorical patterns: a network of one-hot inputs as a sum over positions and their pairs.

F(a) = φ + Σ_i h_i(a_i) + Σ_{i<j} J_ij(a_i, a_j) + …, in the one gauge in which every term is
unique, exactly or by sampling; and the same gauge for an affine map's W and b.

>>> import torch
>>> from captum_ilin.companions.categorical import Groups, expand
>>> groups = Groups.of_positions((2, 2))
>>> both = expand(lambda x: x[:, 0, 1] * x[:, 1, 1], groups, order=2)
>>> both.phi, both.field(0), both.coupling(0, 1)[1, 1]  # doctest: +NORMALIZE_WHITESPACE
(tensor(0.2500, dtype=torch.float64), tensor([-0.2500,  0.2500], dtype=torch.float64),
 tensor(0.2500, dtype=torch.float64))
"""

from captum_ilin.companions.categorical.affine import ZeroSumMap, zero_sum_map
from captum_ilin.companions.categorical.background import Background
from captum_ilin.companions.categorical.evaluator import class_gauge
from captum_ilin.companions.categorical.expanding import expand
from captum_ilin.companions.categorical.expansion import Expansion
from captum_ilin.companions.categorical.groups import Groups
from captum_ilin.companions.categorical.terms import energy, terms_from, zero_sum_gauge
from captum_ilin.companions.categorical.variance import Variance

__all__ = [
    "Background",
    "Expansion",
    "Groups",
    "Variance",
    "ZeroSumMap",
    "class_gauge",
    "energy",
    "expand",
    "terms_from",
    "zero_sum_gauge",
    "zero_sum_map",
]
