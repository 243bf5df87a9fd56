"""A registry that runs in milliseconds, and a command of its own to be run in processes.

``python -m tests.comparisons.tiny SUITE FOLDER [SECONDS]``: each cell lasts SECONDS at least.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from captum.attr import InputXGradient, Saliency
from torch import Tensor, nn

from captum_ilin.metrics import Direction
from comparisons.harness.registry import Registry
from comparisons.harness.running import run
from comparisons.measures.measure import Case, Measure, Value
from comparisons.methods.method import Method
from comparisons.models.network import Model, Network, hash_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from comparisons.methods.method import Setting

EXAMPLES = 5

SUITE = """
name = "tiny"
examples = 3
methods = ["Saliency", "InputXGradient", "Noise"]

[[models]]
name = "net"
seeds = [0, 1]

[[measures]]
name = "total"

[[measures]]
name = "draws"
count = 3
"""


def network(seed: int | None, outputs: int = 4) -> Network:
    """Six features, one hidden layer."""
    generator = torch.Generator().manual_seed(seed or 0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, outputs)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return Network(
        name="net",
        model=model,
        inputs=torch.randn(EXAMPLES, 6, generator=torch.Generator().manual_seed(9)),
        labels=["?"] * EXAMPLES,
        description="a small net",
        weights_hash=hash_of(model.state_dict()),
        dataset="noise",
        seed=seed,
    )


class Noise:
    """Attributions that are drawn from the global generator."""

    multiplies_by_inputs = False

    def attribute(self, inputs: Tensor, target: Any = None) -> Tensor:
        return torch.randn_like(inputs)


def gradient(captum: Any) -> Any:
    def make(setting: Setting) -> Any:
        return captum

    return make


def total(case: Case, wait: float) -> Iterator[Value]:
    time.sleep(wait)
    yield Value(float(case.attributions.sum()))


def draws(case: Case, count: int, sizes: tuple[float, ...]) -> Iterator[Value]:
    """Numbers of the global generator and of the case's own seed."""
    own = torch.Generator().manual_seed(case.seed)
    for number in range(count):
        yield Value(float(torch.rand(())), quantity="global", seed=number)
        yield Value(float(torch.rand((), generator=own)), quantity="own", seed=number)


def registry(wait: float = 0.0) -> Registry:
    methods = (
        Method("Saliency", gradient(Saliency), False, "|gradient|"),
        Method("InputXGradient", gradient(InputXGradient), True, "x ∘ gradient"),
        Method("Noise", gradient(lambda model: Noise()), False, "noise"),
    )
    measures = (
        Measure("total", "axiomatic", {"": Direction.LOWER}, partial(total, wait=wait), "Σφ"),
        Measure(
            "draws",
            "robustness",
            {"global": Direction.LOWER, "own": Direction.LOWER},
            draws,
            "random numbers",
            defaults={"count": 2, "sizes": (0.5,)},
        ),
    )
    return Registry(
        {"net": Model("net", network, (0, 1))},
        {method.name: method for method in methods},
        {measure.name: measure for measure in measures},
    )


def suite_file(folder: Path, text: str = SUITE) -> Path:
    path = folder / "tiny.toml"
    path.write_text(text)
    return path


if __name__ == "__main__":
    wait = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    sys.exit(run(sys.argv[1], sys.argv[2], registry=registry(wait), report=False))
