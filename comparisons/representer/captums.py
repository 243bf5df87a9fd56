"""Captum's influence methods, set up as its documentation does, on copies of the network."""

from __future__ import annotations

import copy
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from captum.influence import NaiveInfluenceFunction, TracInCPFast
from torch import nn

from comparisons.representer.training import HEAD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch.utils.data import Dataset

__all__ = ["INFLUENCE", "TRACIN", "influence_function", "quietly", "tracin"]

TRACIN, INFLUENCE = "TracInCPFast", "NaiveInfluenceFunction"
BATCH = 500


def tracin(networks: Sequence[nn.Module], examples: Dataset[Any]) -> TracInCPFast:
    """TracInCPFast over the networks as checkpoints, with equal learning rates."""
    states: Any = [network.state_dict() for network in networks]
    return TracInCPFast(
        copy.deepcopy(networks[-1]),
        HEAD,
        examples,
        states,
        _loaded,
        nn.CrossEntropyLoss(reduction="sum"),
        BATCH,
    )


def influence_function(network: nn.Module, examples: Dataset[Any]) -> NaiveInfluenceFunction:
    """NaiveInfluenceFunction of the head: its Hessian is computed as it stands."""
    state: Any = network.state_dict()
    with quietly():
        return NaiveInfluenceFunction(
            copy.deepcopy(network),
            examples,
            state,
            _loaded,
            [HEAD],
            nn.CrossEntropyLoss(reduction="none"),
            BATCH,
        )


def _loaded(network: nn.Module, state: Any) -> float:
    network.load_state_dict(state)
    return 1.0


@contextmanager
def quietly() -> Iterator[None]:
    """Without Captum's warnings, which say nothing of the scores."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
