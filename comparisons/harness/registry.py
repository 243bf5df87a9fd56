"""``Registry``: the models, methods and measures that suites may name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comparisons.measures.measure import Measure
    from comparisons.methods.method import Method
    from comparisons.models.network import Model

__all__ = ["Registry", "RegistryError", "registered"]

Thing = TypeVar("Thing")


class RegistryError(ValueError):
    """A name is taken."""


@dataclass(frozen=True)
class Registry:
    """Models, methods and measures by name; adding to one makes a new one.

    Attributes:
        models, methods, measures: name → what it names.
    """

    models: Mapping[str, Model] = field(default_factory=dict)
    methods: Mapping[str, Method] = field(default_factory=dict)
    measures: Mapping[str, Measure] = field(default_factory=dict)

    def with_model(self, model: Model) -> Registry:
        """This registry and a model of your own."""
        return replace(self, models=_with(self.models, model.name, model))

    def with_method(self, method: Method) -> Registry:
        """This registry and a method of your own."""
        return replace(self, methods=_with(self.methods, method.name, method))

    def with_measure(self, measure: Measure) -> Registry:
        """This registry and a measure of your own."""
        return replace(self, measures=_with(self.measures, measure.name, measure))


def _with(known: Mapping[str, Thing], name: str, thing: Thing) -> dict[str, Thing]:
    if name in known:
        raise RegistryError(
            f"The name {name!r} is taken by {known[name]!r}; records are told apart by it. "
            "Give yours another name."
        )
    return {**known, name: thing}


def registered() -> Registry:
    """All that the harness brings."""
    from comparisons.measures import MEASURES
    from comparisons.methods import METHODS
    from comparisons.models import MODELS

    return Registry(MODELS, METHODS, MEASURES)
