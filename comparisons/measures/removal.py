"""What a measure removes at once, and what it puts in its place.

baseline  a baseline of the network by name, or "other": the first it has of blur, mean, noise,
          or else any but zero. Where a network lacks it, the value is missing and says so.
features  what is removed at once: "groups", the network's feature mask, or the pixels of an
          image whose network has none; "values", every input value by itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from comparisons.measures.measure import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from comparisons.measures.measure import Case
    from comparisons.models.network import Network

__all__ = ["baseline_of", "groups_of", "lacking", "where_known"]

VARYING = ("blur", "mean", "noise")  # in this order: the less it adds of its own, the sooner


def baseline_of(case: Case, name: str) -> Tensor:
    """(1, \\*features): the baseline meant by ``name``, which may be "other"."""
    return case.baseline(_named(case.network, name) or name)


def groups_of(case: Case, features: str) -> Tensor | None:
    """(1, \\*features): the feature mask; None if every value is a feature."""
    if features == "values":
        return None
    if features != "groups":
        raise ValueError(f"features is {features!r}; expected 'groups' or 'values'.")
    if case.feature_mask is not None or case.network.images is None:
        return case.feature_mask
    channels, *size = case.inputs.shape[1:]
    pixels = torch.arange(case.inputs[0, 0].numel()).reshape(1, 1, *size)
    return pixels.expand(1, channels, *size)


def lacking(network: Network, name: str) -> str | None:
    """Why there is no such baseline; None if there is."""
    if _named(network, name) is not None:
        return None
    there = ", ".join({"zero": None, **dict.fromkeys(network.baselines)})
    return f"{network.name} has no baseline {name!r}, only: {there}"


def where_known(run: Callable[..., list[Value]]) -> Callable[..., list[Value]]:
    """The measure on networks that have its baselines; elsewhere a reason."""

    def known(case: Case, **parameters: Any) -> list[Value]:
        for name in parameters.get("baselines", (parameters.get("baseline"),)):
            reason = lacking(case.network, name)
            if reason is not None:
                return [Value(math.nan, reason)]
        return run(case, **parameters)

    return known


def _named(network: Network, name: str) -> str | None:
    """The network's own name of a baseline; None if it has no such one."""
    if name == "zero":
        return name
    others = [known for known in network.baselines if known != "zero"]
    wanted = (*VARYING, *others) if name == "other" else (name,)
    return next((known for known in wanted if known in others), None)
