"""``Method``: an attribution method with the parameters a run gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Explain", "Method", "Offset", "Setting"]

Explain = Callable[[Any], Any]  # model → an object with attribute(inputs, target=…)


@dataclass(frozen=True)
class Setting:
    """What a method may need to know of the example it explains.

    Attributes:
        baseline: (1, \\*features), the default baseline.
        window: what Occlusion removes at once, Captum's ``sliding_window_shapes``; None if
            the inputs have no such shape.
        feature_mask: (1, \\*features) integers, or None.
        seed: for methods that draw random numbers.
    """

    baseline: Tensor
    window: tuple[int, ...] | None = None
    feature_mask: Tensor | None = None
    seed: int = 0


if TYPE_CHECKING:
    Offset = Callable[[nn.Module, Tensor, Any, Setting], Tensor]
else:
    Offset = Callable[..., Any]


@dataclass(frozen=True)
class Method:
    """One attribution method.

    Attributes:
        name: its name in suites and tables.
        make: setting → (model → explainer).
        is_contribution: whether attributions are contributions (W ∘ x: they multiply by the
            input) and not slopes (W); the infidelity follows it.
        about: one line: what it is, and its source.
        offset: (model, inputs, target, setting) → (batch,) what, added to the attributions, is
            claimed to give F(x); None if nothing is claimed.
        parameters: what distinguishes it from others of its class; hashed into every record.
        passes: rows forward (and, for gradient methods, backward) that one attribution of one
            example takes, for the estimate of a run's time.
        is_control: a reference row (random, input-only, …), not a method anyone proposes.
        uses_baseline: whether attributions depend on the setting's baseline.
    """

    name: str
    make: Callable[[Setting], Explain]
    is_contribution: bool
    about: str
    offset: Offset | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    passes: int = 1
    is_control: bool = False
    uses_baseline: bool = False
