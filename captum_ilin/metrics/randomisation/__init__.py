"""Do attributions change when what the network learned is destroyed, or the output is?

A sanity check, not a ranking: a similarity means something only beside the null band (two
networks that share nothing trained), so every score here is descriptive. An attribution that
ignores the network keeps similarity 1; one that multiplies by the input keeps much of it, for
the input does not change.
"""

from captum_ilin.metrics.randomisation.cascade import Cascade
from captum_ilin.metrics.randomisation.data import data_randomisation
from captum_ilin.metrics.randomisation.efficient import efficient_mprt, histogram_entropy
from captum_ilin.metrics.randomisation.entries import Entries
from captum_ilin.metrics.randomisation.layers import randomisable_layers
from captum_ilin.metrics.randomisation.logit import random_logit
from captum_ilin.metrics.randomisation.mprt import mprt
from captum_ilin.metrics.randomisation.redrawing import redraw
from captum_ilin.metrics.randomisation.similarity import abs_spearman, hog, spearman, ssim
from captum_ilin.metrics.randomisation.smooth import smooth_mprt

__all__ = [
    "Cascade",
    "Entries",
    "abs_spearman",
    "data_randomisation",
    "efficient_mprt",
    "histogram_entropy",
    "hog",
    "mprt",
    "random_logit",
    "randomisable_layers",
    "redraw",
    "smooth_mprt",
    "spearman",
    "ssim",
]
