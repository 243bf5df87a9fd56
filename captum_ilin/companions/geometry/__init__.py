"""Geometric metrics: the angle, norm and margin of examples, before the head and in the input.

Before a linear head they add up to the cross-entropy (Li et al. 2024, "Understanding Robustness
Lottery"). With the network's own W and b they move to the input space, where the margin is the
exact distance to the decision boundary while that lies inside the region.
"""

from captum_ilin.companions.geometry.boundary import LocalBoundary, local_boundary
from captum_ilin.companions.geometry.features import FeatureGeometry, feature_geometry
from captum_ilin.companions.geometry.inputs import InputGeometry, input_geometry
from captum_ilin.companions.geometry.shift import Fragile, GeometryShift, compare

__all__ = [
    "FeatureGeometry",
    "Fragile",
    "GeometryShift",
    "InputGeometry",
    "LocalBoundary",
    "compare",
    "feature_geometry",
    "input_geometry",
    "local_boundary",
]
