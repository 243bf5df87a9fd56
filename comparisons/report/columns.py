"""``Column``: one number of one metric with one set of parameters, as tables head it."""

from __future__ import annotations

from dataclasses import dataclass

from captum_ilin.metrics import Direction
from comparisons.measures import MEASURES
from comparisons.methods import METHODS

__all__ = ["FAMILIES", "UNREGISTERED", "Column", "is_control", "method_order", "nameless"]

UNREGISTERED = "not registered"
FAMILIES = (
    "axiomatic",
    "faithfulness",
    "randomisation",
    "robustness",
    "localisation",
    "complexity",
    "cost",
    UNREGISTERED,
)


@dataclass(frozen=True)
class Column:
    """What a column of a table holds.

    Attributes:
        metric, variant, quantity: as in the rows.
    """

    metric: str
    variant: str
    quantity: str

    @property
    def family(self) -> str:
        """The metric's family."""
        found = MEASURES.get(self.metric)
        return found.family if found else UNREGISTERED

    @property
    def direction(self) -> Direction:
        """Which way is better; neither, of a metric that is not registered."""
        found = MEASURES.get(self.metric)
        directions = found.directions if found else {}
        return directions.get(self.quantity, Direction.DESCRIPTIVE)

    @property
    def statistic(self) -> str:
        """The median of a quantity whose tail is long, as its measure says; else the mean."""
        found = MEASURES.get(self.metric)
        return "median" if found and self.quantity in found.medians else "mean"

    @property
    def rounding(self) -> float:
        """The size below which a value is the rounding of 0."""
        found = MEASURES.get(self.metric)
        return found.rounding.get(self.quantity, 0.0) if found else 0.0

    @property
    def detail(self) -> str:
        """Quantity and variant, for the header's second line."""
        return " · ".join(part for part in (self.quantity, self.variant) if part)

    @property
    def label(self) -> str:
        """All of it in one line, without the arrow."""
        return f"{self.metric} ({self.detail})" if self.detail else self.metric

    @property
    def place(self) -> tuple[int, int, str, str, int, str]:
        """Where it stands: by family, then as registered, then by name."""
        known = list(MEASURES)
        found = MEASURES.get(self.metric)
        quantities = list(found.directions) if found else []
        return (
            FAMILIES.index(self.family) if self.family in FAMILIES else len(FAMILIES),
            known.index(self.metric) if found else len(known),
            self.metric,
            self.variant,
            quantities.index(self.quantity) if self.quantity in quantities else len(quantities),
            self.quantity,
        )


def is_control(method: str) -> bool:
    """Whether it is a reference row; a method that is not registered is none."""
    found = METHODS.get(method)
    return bool(found and found.is_control)


def nameless(reason: str, method: str) -> str:
    """A reason without its method's name; of a control, whose name may be a common word, only
    where the reason opens with it.

    >>> nameless("LRP claims no sum", "LRP"), nameless("constant claims no sum", "constant")
    ('the method claims no sum', 'the method claims no sum')
    >>> nameless("the map is constant", "constant")
    'the map is constant'
    """
    if is_control(method):
        opens = reason.startswith(f"{method} ")
        return f"the method{reason.removeprefix(method)}" if opens else reason
    return reason.replace(method, "the method")


def method_order(method: str) -> tuple[bool, int, str]:
    """Controls last; else as registered, then by name."""
    known = list(METHODS)
    return is_control(method), known.index(method) if method in known else len(known), method
