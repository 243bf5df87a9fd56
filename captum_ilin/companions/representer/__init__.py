"""Representer points: a prediction as the votes of the training examples, and of their pixels.

A model Φ(x) = Θ f(x) whose head is fitted to stationarity under an l2 penalty is a sum over its
training examples, Φ(x_t) = Σ_i α_i f_iᵀ f_t (Yeh et al. 2018, arXiv 1811.09720). With the exact
f_t = W_f x_t + b_f each of these votes splits over the features of the test input.
"""

from captum_ilin.companions.representer.errors import NotConvergedError
from captum_ilin.companions.representer.points import RepresenterPoints
from captum_ilin.companions.representer.report import RefitReport
from captum_ilin.companions.representer.shares import VoteShares
from captum_ilin.companions.representer.suspicion import Suspects

__all__ = [
    "NotConvergedError",
    "RefitReport",
    "RepresenterPoints",
    "Suspects",
    "VoteShares",
]
