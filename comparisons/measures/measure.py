"""``Measure``: a metric as the harness runs it, on one example of one method on one network."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from captum_ilin.metrics import attributions_of, drawing_from

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from torch import Tensor, nn

    from captum_ilin.metrics import Direction, Scores
    from comparisons.methods.method import Method, Setting
    from comparisons.models.network import Network

__all__ = ["Case", "Measure", "Value", "always_defined", "values_of"]


@dataclass(frozen=True)
class Value:
    """One number of a measure.

    Attributes:
        value: NaN where the metric is undefined.
        reason: why it is NaN; None where it is not.
        quantity: which of the measure's numbers it is ("" for its only one).
        layer: the layer randomised last, or None.
        seed: the number of the randomisation (0, 1, …), or None.
        step: where on a curve, from 0 to 1, or None.
    """

    value: float
    reason: str | None = None
    quantity: str = ""
    layer: str | None = None
    seed: int | None = None
    step: float | None = None


@dataclass
class Case:
    """One example of one network, under one method.

    Attributes:
        network, method: as registered.
        example: which example.
        seed: for everything random in the measure; the same for every method, so that
            methods are compared on the same draws.
    """

    network: Network
    method: Method
    example: int
    seed: int

    @property
    def model(self) -> nn.Module:
        """The network's model."""
        return self.network.model

    @property
    def inputs(self) -> Tensor:
        """(1, \\*features)"""
        return self.network.inputs[self.example : self.example + 1]

    @property
    def target(self) -> int:
        """The output explained."""
        return int(self.network.targets[self.example])

    @property
    def mask(self) -> Tensor | None:
        """(1, \\*features) bool, where the evidence lies; None where nobody knows."""
        masks = self.network.masks
        return None if masks is None else masks[self.example : self.example + 1]

    @property
    def feature_mask(self) -> Tensor | None:
        """(1, \\*features): values with one number are removed together."""
        return self.network.feature_mask

    def baseline(self, name: str) -> Tensor:
        """(1, \\*features): one of the network's baselines, by name."""
        return self.network.baseline(name, self.example)

    @cached_property
    def setting(self) -> Setting:
        """What the method may need to know beyond the model."""
        return self.network.setting(self.example, self.seed)

    @property
    def explain(self) -> Callable[[Any], Any]:
        """The method as ``captum_ilin.metrics`` takes it: model → explainer.

        Made anew each time: what it draws does not depend on the measures before.
        """
        return self.method.make(self.setting)

    @cached_property
    def attributions(self) -> Tensor:
        """(1, \\*features), computed once for all measures."""
        with drawing_from(self.seed):
            (found,) = attributions_of(
                self.explain, self.model, self.inputs, target=self.target
            )
        return found

    def drawing(self, seed: int) -> Case:
        """The same explanation, for a measure that draws its random numbers from ``seed``."""
        case = Case(self.network, self.method, self.example, seed)
        case.__dict__.update(setting=self.setting, attributions=self.attributions)
        return case


def always_defined(method: Method, network: Network) -> str | None:
    """For a measure that every method has on every network."""
    return None


@dataclass(frozen=True)
class Measure:
    """A metric of the harness.

    Attributes:
        name: its name in suites and tables.
        family: axiomatic, faithfulness, randomisation, robustness, localisation, complexity
            or cost.
        directions: which way each quantity is better ("" for an only one).
        run: (case, \\*\\*parameters) → values.
        defaults: the parameters that a suite may set, with their defaults; whole numbers are
            counts, 1 or more unless the default is less.
        undefined: (method, network) → why the metric is undefined there, or None.
        attributions: parameters → attributions computed for one example, beyond the shared
            one; for the estimate of a run's time.
        forwards: parameters → rows through the network for one example, beyond those.
        formula: the definition in one line, and its source.
        rounding: quantity → the size below which a value is float32's rounding of 0: methods
            that are both below it are tied.
        medians: the quantities that are summarised by their median, for a mean would be that
            of a few: ratios over what may be close to 0, times, maxima of quotients.
    """

    name: str
    family: str
    directions: Mapping[str, Direction]
    run: Callable[..., Iterable[Value]]
    formula: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    undefined: Callable[[Method, Network], str | None] = always_defined
    attributions: Callable[[Mapping[str, Any]], int] = lambda parameters: 0
    forwards: Callable[[Mapping[str, Any]], int] = lambda parameters: 0
    rounding: Mapping[str, float] = field(default_factory=dict)
    medians: Collection[str] = ()


def values_of(scores: Scores, quantity: str = "", **where: Any) -> list[Value]:
    """Scores of one example as values."""
    return [
        Value(float(value), reason, quantity, **where)
        for value, reason in zip(scores.values.tolist(), scores.reasons, strict=True)
    ]
