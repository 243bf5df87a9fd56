"""The metrics' errors, in the package's one tree."""

from __future__ import annotations

from captum_ilin.errors import IlinError

__all__ = ["MetricInputError", "MetricPackageError"]


class MetricInputError(IlinError, ValueError):
    """Attributions, masks or targets that do not fit the inputs or the outputs."""


class MetricPackageError(IlinError, ModuleNotFoundError):
    """A package that a metric reads with is not installed; the message names the extra."""
