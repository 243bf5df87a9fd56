"""Parametric t-SNE: an encoder to the plane, and the exact loadings of each of its points.

An encoder y = f(x) is trained so that neighbours stay neighbours (van der Maaten 2009,
"Learning a Parametric Embedding by Preserving Local Structure", AISTATS). It is a network, so
at each point it is y = W x + b exactly, and the two rows of W are that point's own loadings.
"""

from __future__ import annotations

from comparisons.embedding.affinities import EmbeddingError, affinities
from comparisons.embedding.encoder import Perceptron
from comparisons.embedding.loadings import Loadings, loadings_of
from comparisons.embedding.moves import Move, move
from comparisons.embedding.pair import Pair, pair_of
from comparisons.embedding.preservation import Preservation, preservation
from comparisons.embedding.training import Schedule, divergence, fit

__all__ = [
    "EmbeddingError",
    "Loadings",
    "Move",
    "Pair",
    "Perceptron",
    "Preservation",
    "Schedule",
    "affinities",
    "divergence",
    "fit",
    "loadings_of",
    "move",
    "pair_of",
    "preservation",
]
