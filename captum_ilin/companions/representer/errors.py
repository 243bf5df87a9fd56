"""The one error that representer points add to the companions'."""

from __future__ import annotations

from captum_ilin.companions.errors import CompanionInputError

__all__ = ["NotConvergedError"]


class NotConvergedError(CompanionInputError, ArithmeticError):
    """The head's refit did not become stationary; the message says how far it came."""
