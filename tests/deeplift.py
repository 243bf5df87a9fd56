"""Where captum's DeepLIFT closes its sum and where not: ``python -m tests.deeplift``.

It writes the table of docs/differences.md. Small networks, one for each thing that networks do,
with random weights, inputs and baselines in float64. DeepLIFT's error is
|Σ attributions − (F(x) − F(x'))| / |F(x) − F(x')|, the largest of four examples, as ILIN's is.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from captum.attr import DeepLift
from torch import Tensor, nn

from captum_ilin import ILIN

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CASES", "Case", "Outcome", "outcome", "table"]


class Functional(nn.Module):
    """``F.relu``, which no module hook sees."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(12, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.first(x.flatten(1))))


class Reused(nn.Module):
    """One ``nn.ReLU`` called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(12, 16), nn.Linear(16, 16), nn.Linear(16, 5)])
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        first, second, last = self.layers
        return last(self.relu(second(self.relu(first(x.flatten(1))))))


class Product(nn.Module):
    """A gate times a value."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(12, 16), nn.Sigmoid())
        self.value, self.head = nn.Linear(12, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.head(self.gate(x) * self.value(x))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTM(3, 8, batch_first=True), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x.reshape(len(x), 4, 3))[0][:, -1])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
        self.layer = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x.reshape(len(x), 3, 4)).mean(1))


def mlp(*activations: nn.Module) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(12, 16)]
    for activation in activations:
        layers += [activation, nn.Linear(16, 16)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(16, 5))


def convnet(pool: nn.Module, features: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), pool, nn.Conv2d(6, 6, 3, padding=1)),
        *(nn.ReLU(), nn.Flatten(), nn.Linear(features, 5)),
    )


class Case(NamedTuple):
    """A network, the shape of its inputs, and whether DeepLIFT is right there."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    is_right: bool


PAGE = Path(__file__).parents[1] / "docs" / "differences.md"
HEAD = "| network | DeepLIFT | ILIN | maps apart |"
IMAGE = (1, 8, 8)
CASES: dict[str, Case] = {
    "separate `nn.ReLU`": Case(lambda: mlp(nn.ReLU()), (12,), True),
    "`nn.Sigmoid`, `nn.Tanh`": Case(lambda: mlp(nn.Sigmoid(), nn.Tanh()), (12,), True),
    "`nn.ELU`, `nn.Softplus`": Case(lambda: mlp(nn.ELU(), nn.Softplus()), (12,), True),
    "convolutions, `nn.AvgPool2d(2)`": Case(lambda: convnet(nn.AvgPool2d(2), 96), IMAGE, True),
    "`nn.MaxPool2d(2)`": Case(lambda: convnet(nn.MaxPool2d(2), 96), IMAGE, False),
    "`nn.MaxPool2d(3, 2)`, overlapping": Case(
        lambda: convnet(nn.MaxPool2d(3, 2), 54), IMAGE, False
    ),
    "`F.relu`": Case(Functional, (12,), False),
    "one `nn.ReLU` called twice": Case(Reused, (12,), False),
    "`nn.GELU`": Case(lambda: mlp(nn.GELU()), (12,), False),
    "`nn.ReLU6`": Case(lambda: mlp(nn.ReLU6()), (12,), False),
    "`nn.SiLU`": Case(lambda: mlp(nn.SiLU()), (12,), False),
    "`nn.LayerNorm`": Case(lambda: mlp(nn.LayerNorm(16)), (12,), False),
    "a gate times a value": Case(Product, (12,), False),
    "`nn.LSTM`": Case(Recurrent, (12,), False),
    "a transformer's layer": Case(Attention, (12,), False),
}


class Outcome(NamedTuple):
    """Relative errors of both, DeepLIFT's None where it raises; how far their maps differ."""

    deeplift: float | None
    ilin: float
    apart: float | None


def outcome(case: Case, dtype: torch.dtype = torch.float64) -> Outcome:
    """Both methods on four random examples, against four random baselines."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = case.build().to(dtype).eval()
        x, baseline = (torch.randn(4, *case.shape).to(dtype) for _ in range(2))
    target = 2
    change = (network(x) - network(baseline))[:, target].detach()
    found = ILIN(network).attribute(x, target=target, baselines=baseline)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other = DeepLift(network).attribute(x, baseline, target=target).detach()
    except Exception:  # it raises many kinds
        return Outcome(None, _error(found, change), None)
    apart = float((found - other).abs().max() / found.abs().max())
    return Outcome(_error(other, change), _error(found, change), apart)


def _error(attributions: Tensor, change: Tensor) -> float:
    return float(((attributions.flatten(1).sum(1) - change) / change).abs().max())


def table() -> str:
    """The table, in Markdown."""
    lines = [HEAD, "| --- | ---: | ---: | ---: |"]
    for name, case in CASES.items():
        found = outcome(case)
        other = "raises" if found.deeplift is None else f"{found.deeplift:.0e}"
        apart = "" if found.apart is None else f"{found.apart:.0e}"
        lines.append(f"| {name} | {other} | {found.ilin:.0e} | {apart} |")
    return "\n".join(lines)


def written(page: str) -> str:
    """The page with its table made anew."""
    before, _, rest = page.partition(HEAD)
    return before + table() + rest[rest.index("\n\n") :]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
