"""Axioms that compare attributions on two networks.

dummy                      the input beside its own mirror image, which the model does not read.
linearity                  of 0.7 F − 0.4 G, G the model with its outputs rolled by one.
implementation_invariance  split: the input in two by ReLUs and put together again; rescaled:
                           hidden units in other units, where they can be found.
input_invariance           the input shifted by a part of its range, kept: the baseline left
                           where it is; moved: the baseline shifted with the input.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from captum_ilin.metrics import (
    Direction,
    dummy,
    implementation_invariance,
    input_invariance,
    linearity,
)
from comparisons.measures.measure import Case, Measure, Value, values_of
from comparisons.measures.rewritings import Padded, Rolled, Split, rescaled, threshold_of

if TYPE_CHECKING:
    from torch import Tensor

    from comparisons.methods.method import Method, Setting
    from comparisons.models.network import Network

__all__ = ["MEASURES"]

LOWER = Direction.LOWER
BY_MODULE = ("LRP",)  # takes a sum or a difference outside of modules for the identity


def _dummy(case: Case) -> list[Value]:
    network = _padded(case)
    unread = torch.zeros_like(network.inputs, dtype=torch.bool)
    unread[..., case.inputs.shape[-1] :] = True
    padded = Case(network, case.method, 0, case.seed)
    scores = dummy(
        network.model, network.inputs, padded.attributions, target=case.target, dummies=unread
    )
    return values_of(scores)


def _padded(case: Case) -> Network:
    """The network of one example that stands beside its mirror image."""
    mask = case.feature_mask
    return replace(
        case.network,
        model=Padded(case.model, case.inputs.shape[-1]),
        inputs=_beside(case.inputs, case.inputs),
        labels=case.network.labels[case.example : case.example + 1],
        images=None,
        baselines={"zero": _beside(case.setting.baseline, case.setting.baseline)},
        masks=None,
        feature_mask=None if mask is None else _beside(mask, mask + int(mask.max()) + 1),
        twin=None,
        feature_names=(),
        chosen_targets=torch.tensor([case.target]),
        contributions=None,
        grid=None,
    )


def _beside(left: Tensor, right: Tensor) -> Tensor:
    return torch.cat([left, right.flip(-1)], -1)


def _linearity(case: Case, *, a: float, b: float) -> list[Value]:
    other = Rolled(case.model)
    scores = linearity(
        case.explain,
        case.model,
        other,
        case.inputs,
        a,
        b,
        target=case.target,
        seed=case.seed,
    )
    return values_of(scores)


def _implementation_invariance(case: Case) -> list[Value]:
    no_place = f"{case.network.name} has no layers in sequence that could be rescaled"
    unseen = _not_seen(case.method, case.network)
    split = None if unseen else Split(case.model, threshold_of(case.inputs))
    return [
        *_against(case, split, "split", unseen),
        *_against(case, rescaled(case.model, case.seed), "rescaled", no_place),
    ]


def _against(case: Case, twin: Any, quantity: str, missing: str | None) -> list[Value]:
    """The comparison with a twin, or why there is none."""
    if twin is None:
        return [Value(math.nan, missing, quantity)]
    scores = implementation_invariance(
        case.explain, case.model, twin, case.inputs, target=case.target, seed=case.seed
    )
    return values_of(scores, quantity)


def _input_invariance(case: Case, *, shift: float) -> list[Value]:
    span = float(case.inputs.max() - case.inputs.min())
    by, base = shift * (span or 1.0), case.setting.baseline
    compare = partial(
        input_invariance,
        partial(_AgainstBaseline, case.method, case.setting),
        case.model,
        case.inputs,
        by,
        target=case.target,
        attribute_kwargs={"baselines": base},
        seed=case.seed,
    )
    found = values_of(compare(), "kept")
    if not case.method.uses_baseline:
        reason = f"{case.method.name} has no baseline that could be moved"
        return [*found, Value(math.nan, reason, "moved")]
    return found + values_of(compare(shifted_kwargs={"baselines": base + by}), "moved")


class _AgainstBaseline:
    """The method, its baseline an argument of ``attribute``."""

    def __init__(self, method: Method, setting: Setting, model: Any) -> None:
        self.method, self.setting, self.model = method, setting, model

    def attribute(self, inputs: Tensor, target: Any = None, *, baselines: Tensor) -> Any:
        explain = self.method.make(replace(self.setting, baseline=baselines))
        return explain(self.model).attribute(inputs, target=target)


def _not_seen(method: Method, network: Network) -> str | None:
    if method.name not in BY_MODULE:
        return None
    return f"{method.name} has rules for modules, and does not see what stands outside them"


MEASURES = {
    measure.name: measure
    for measure in (
        Measure(
            "dummy",
            "axiomatic",
            {"": LOWER},
            _dummy,
            "Σ|φ| on an unread copy of the input, over Σ|φ| (Sundararajan 2017)",
            attributions=lambda parameters: 1,
        ),
        Measure(
            "linearity",
            "axiomatic",
            {"": LOWER},
            _linearity,
            "‖φ(aF + bG) − aφ(F) − bφ(G)‖ / ‖aφ(F) + bφ(G)‖ (Sundararajan 2017)",
            {"a": 0.7, "b": -0.4},
            undefined=_not_seen,
            attributions=lambda parameters: 4,
        ),
        Measure(
            "implementation_invariance",
            "axiomatic",
            dict.fromkeys(("split", "rescaled"), LOWER),
            _implementation_invariance,
            "‖φ(G) − φ(F)‖ / ‖φ(F)‖, G = F written differently (Sundararajan 2017)",
            attributions=lambda parameters: 4,
            forwards=lambda parameters: 8,
        ),
        Measure(
            "input_invariance",
            "axiomatic",
            dict.fromkeys(("kept", "moved"), LOWER),
            _input_invariance,
            "‖φ(F(· − s), x + s) − φ(F, x)‖ / ‖φ(F, x)‖ (Kindermans 2019)",
            {"shift": 0.5},
            undefined=_not_seen,
            attributions=lambda parameters: 4,
        ),
    )
}
