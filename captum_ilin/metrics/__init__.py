"""Metrics over any Captum method or attribution tensor.

>>> import torch
>>> from captum.attr import InputXGradient
>>> from captum_ilin.metrics import Direction, Scores
"""

from captum_ilin.metrics.errors import MetricInputError, MetricPackageError
from captum_ilin.metrics.scores import Direction, Scores

__all__ = ["Direction", "MetricInputError", "MetricPackageError", "Scores"]
