"""A method and a model of your own: ``python -m comparisons.examples.own_method``.

The records and the report go to ``results/own``, or to the folder you name.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from captum.attr import Saliency
from torch import nn

from comparisons.harness import Method, Model, Network, Setting, hash_of, registered, run


class CentredGradient:
    """(x − mean of x) ∘ ∂F/∂x; any object with ``attribute(inputs, target=…)`` will do."""

    multiplies_by_inputs = True

    def __init__(self, model: Any) -> None:
        self.saliency = Saliency(model)

    def attribute(self, inputs: Any, target: Any = None) -> Any:
        gradient = self.saliency.attribute(inputs, target=target, abs=False)
        return (inputs - inputs.mean()) * gradient


def load(seed: int | None) -> Network:
    """A network with its examples: here random ones."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 3)).eval()
    weights, inputs = hash_of(net.state_dict()), torch.randn(16, 10)
    return Network("random_net", net, inputs, ["?"] * 16, "a random network", weights)


def make(setting: Setting) -> Any:
    """Setting (baseline, window, seed, …) → (model → explainer)."""
    return CentredGradient


METHOD = Method("CentredGradient", make, is_contribution=True, about="(x − mean) ∘ ∂F/∂x")

if __name__ == "__main__":
    registry = registered().with_method(METHOD).with_model(Model("random_net", load))
    suite = Path(__file__).with_name("own_suite.toml")
    sys.exit(run(suite, *sys.argv[1:], registry=registry))
