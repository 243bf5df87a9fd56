"""The attribution methods of the comparison, by name."""

from __future__ import annotations

from comparisons.methods import captum, controls, fullgrad, ilin
from comparisons.methods.method import Method, Setting

__all__ = ["METHODS", "Method", "Setting"]

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        *ilin.METHODS,
        *captum.METHODS,
        *fullgrad.METHODS,
        *controls.METHODS,
    )
}
