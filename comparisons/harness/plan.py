"""The plan of a suite: its units and cells, what is left of them, and how it is described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from comparisons.records import Cell
from comparisons.records.digest import digest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from comparisons.harness.registry import Registry
    from comparisons.harness.suite import MeasureChoice, Suite
    from comparisons.methods.method import Method

__all__ = ["Unit", "cells", "describe", "hash_of_method", "pending", "units"]


class Unit(NamedTuple):
    """One attribution, and the measures of it: what a process runs at a time."""

    model: str
    model_seed: int | None
    method: str
    example: int

    def cell(self, choice: MeasureChoice) -> Cell:
        """The cell of one of its measures."""
        return Cell(*self, choice.name, choice.hash)


def units(suite: Suite, available: Mapping[str, int]) -> list[Unit]:
    """All units of a suite, example by example: cut short, every method has the same ones.

    Args:
        suite: what is compared.
        available: how many examples each model has, where that is known.
    """
    most = max((choice.examples for choice in suite.models), default=0)
    return [
        Unit(choice.name, seed, method, example)
        for example in range(most)
        for choice in suite.models
        if example < min(choice.examples, available.get(choice.name, choice.examples))
        for seed in choice.seeds
        for method in suite.methods
    ]


def cells(suite: Suite, all_units: Collection[Unit]) -> dict[Unit, list[MeasureChoice]]:
    """The measures that the suite asks for, of each unit."""
    asked = {
        unit: [choice for choice in suite.measures if choice.is_for(unit.model, unit.method)]
        for unit in all_units
    }
    return {unit: choices for unit, choices in asked.items() if choices}


def pending(
    planned: Mapping[Unit, list[MeasureChoice]], finished: Collection[Cell]
) -> dict[Unit, list[MeasureChoice]]:
    """What is left of the plan."""
    left = {
        unit: [choice for choice in choices if unit.cell(choice) not in finished]
        for unit, choices in planned.items()
    }
    return {unit: choices for unit, choices in left.items() if choices}


def hash_of_method(method: Method) -> str:
    """Of its name and parameters."""
    return digest([method.name, dict(method.parameters)])


def describe(suite: Suite, registry: Registry) -> dict[str, Any]:
    """A suite as a results folder keeps it: names in the tables' order, with their hashes."""
    return {
        "name": suite.name,
        "about": suite.about,
        "seed": suite.seed,
        "models": {
            choice.name: {"seeds": list(choice.seeds), "examples": choice.examples}
            for choice in suite.models
        },
        "methods": {name: hash_of_method(registry.methods[name]) for name in suite.methods},
        "measures": {choice.label: _described(choice) for choice in suite.measures},
        "known_failures": [list(pair) for pair in suite.known_failures],
    }


def _described(choice: MeasureChoice) -> dict[str, Any]:
    return {
        "metric": choice.name,
        "variant": choice.variant,
        "hash": choice.hash,
        "parameters": {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in choice.parameters.items()
        },
        "models": None if choice.models is None else list(choice.models),
        "methods": None if choice.methods is None else list(choice.methods),
    }
