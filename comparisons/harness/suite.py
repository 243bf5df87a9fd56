"""``Suite``: which models, methods and measures are compared, on how many examples.

A suite is a TOML file, one of ``comparisons/suites`` or your own (`suitefile` reads it)::

    name = "mine"
    about = "Does my method stay faithful?"
    methods = ["ILIN", "Saliency"]
    examples = 8                     # of each model; 8 unless told
    seed = 0                         # 0 unless told
    known_failures = [["LRP", "digits_vit"]]   # no reason for exit code 1

    [[models]]
    name = "digits_cnn"
    seeds = [0, 1]                   # all the model has unless told

    [[measures]]
    name = "deletion"
    baseline = "mean"                # parameters of the measure
    methods = ["ILIN"]               # or models = […]: only for these
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from comparisons.harness.suitetable import SuiteError
from comparisons.nearest import hint
from comparisons.records.digest import digest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["MeasureChoice", "ModelChoice", "Suite"]


@dataclass(frozen=True)
class ModelChoice:
    """A model of a suite.

    Attributes:
        name: as registered.
        seeds: its training seeds.
        examples: how many, from the first on.
    """

    name: str
    seeds: tuple[int | None, ...]
    examples: int


@dataclass(frozen=True)
class MeasureChoice:
    """A measure of a suite with its parameters.

    Attributes:
        name: as registered.
        parameters: all of them, defaults included.
        variant: those that differ from the defaults, for a reader.
        models, methods: the only ones it is for; None for all.
    """

    name: str
    parameters: Mapping[str, Any]
    variant: str = ""
    models: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None

    @property
    def label(self) -> str:
        """Name and variant; seeds are derived from it."""
        return f"{self.name} {self.variant}".strip()

    @property
    def hash(self) -> str:
        """Of its name and parameters."""
        return digest([self.name, dict(self.parameters)])

    def is_for(self, model: str, method: str) -> bool:
        """Whether the suite asks for it there."""
        return (self.models is None or model in self.models) and (
            self.methods is None or method in self.methods
        )


@dataclass(frozen=True)
class Suite:
    """What is compared.

    Attributes:
        name, about: for a reader.
        seed: all random numbers follow from it.
        models, methods, measures: in the order of the tables.
        known_failures: (method, model) pairs that are expected to fail.
    """

    name: str
    models: tuple[ModelChoice, ...]
    methods: tuple[str, ...]
    measures: tuple[MeasureChoice, ...]
    about: str = ""
    seed: int = 0
    known_failures: tuple[tuple[str, str], ...] = ()

    def restricted(
        self,
        *,
        models: Collection[str] | None = None,
        methods: Collection[str] | None = None,
        measures: Collection[str] | None = None,
        examples: int | None = None,
    ) -> Suite:
        """The part with the given names, on ``examples`` of each model; None leaves all.

        Raises:
            SuiteError: a name that the suite does not hold.
        """
        self._expect(models, [choice.name for choice in self.models], "model")
        self._expect(methods, self.methods, "method")
        self._expect(
            measures, dict.fromkeys(choice.name for choice in self.measures), "measure"
        )
        return replace(
            self,
            models=tuple(
                replace(choice, examples=examples or choice.examples)
                for choice in self.models
                if models is None or choice.name in models
            ),
            methods=tuple(name for name in self.methods if methods is None or name in methods),
            measures=tuple(
                choice
                for choice in self.measures
                if measures is None or choice.name in measures
            ),
        )

    def _expect(self, names: Collection[str] | None, held: Collection[str], what: str) -> None:
        for name in names or ():
            if name not in held:
                raise SuiteError(
                    f"unknown {what} of the suite {self.name} {name!r}. {hint(name, held)}"
                )
