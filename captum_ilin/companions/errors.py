"""The companions' errors, in the package's one tree."""

from __future__ import annotations

from captum_ilin.errors import IlinError

__all__ = ["CompanionInputError", "CompanionPackageError"]


class CompanionInputError(IlinError, ValueError):
    """Data, groups, labels or options that do not fit the model or each other."""


class CompanionPackageError(IlinError, ModuleNotFoundError):
    """A package that a companion needs is not installed; the message names the extra."""
