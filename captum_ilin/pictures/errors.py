"""The pictures' errors, in the package's one tree."""

from __future__ import annotations

from captum_ilin.errors import IlinError

__all__ = ["PictureFileError", "PictureInputError", "PicturePackageError"]


class PictureInputError(IlinError, ValueError):
    """What is to be drawn does not have the shape, the range or the sum it must have."""


class PictureFileError(IlinError, OSError):
    """A picture cannot be saved there: no such folder, or no such format."""


class PicturePackageError(IlinError, ModuleNotFoundError):
    """Matplotlib is not installed; the message names the extra."""
