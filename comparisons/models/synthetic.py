"""Networks of a few numbers whose true contributions are known, by construction.

The weights are written down or drawn from a fixed seed, not trained. Three have a truth that
every method should find, F(x) − F(0) = Σ_i φ_i:

    linear      F = W x + c                  φ_i = W_ti x_i
    additive    F = Σ_i f_i(x_i) + c         φ_i = f_i(x_i) − f_i(0)

and ``xor`` has none: there two features act only together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from comparisons.models.network import Model, Network, hash_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MODELS", "additive", "additive_gelu", "linear", "xor"]

EXAMPLES = 32
FEATURES, CLASSES = 8, 3
PIECES = 4  # kinks of each one-feature function


def linear(seed: int | None = None) -> Network:
    """Three classes, linear in eight features."""
    generator = torch.Generator().manual_seed(0)
    readout = nn.Linear(FEATURES, CLASSES)
    _set(readout, _draw(generator, CLASSES, FEATURES), _draw(generator, CLASSES))
    inputs = _draw(generator, EXAMPLES, FEATURES)
    return _network(
        "linear",
        nn.Sequential(readout),
        inputs,
        "logits W x + c of eight normal features; the contributions are W∘x",
        additive=True,
    )


def additive(seed: int | None = None) -> Network:
    """Each logit a sum of piecewise linear functions of one feature each."""
    return _additive("additive", nn.ReLU(), "piecewise linear functions")


def additive_gelu(seed: int | None = None) -> Network:
    """Each logit a sum of smooth functions of one feature each."""
    return _additive("additive_gelu", nn.GELU(), "sums of GELUs")


def xor(seed: int | None = None) -> Network:
    """Whether exactly one of two features is on; two more features do nothing.

    Logit 1 is |x_0 − x_1| and logit 0 is 1 − |x_0 − x_1|. At (1, 1) both features matter,
    and neither alone: no way of sharing F(x) − F(0) = 0 out is the true one.
    """
    hidden, readout = nn.Linear(4, 2), nn.Linear(2, 2)
    _set(hidden, torch.tensor([[1.0, -1, 0, 0], [-1, 1, 0, 0]]), torch.zeros(2))
    _set(readout, torch.tensor([[-1.0, -1], [1, 1]]), torch.tensor([1.0, 0]))
    generator = torch.Generator().manual_seed(0)
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1])] * 4).repeat(2, 1)
    inputs = corners + 0.1 * _draw(generator, *corners.shape)
    return _network(
        "xor",
        nn.Sequential(hidden, nn.ReLU(), readout),
        inputs,
        "exclusive or of features 0 and 1 by two ReLUs; features 2 and 3 do nothing; no "
        "additive truth",
        additive=False,
        masks=torch.tensor([True, True, False, False]).expand(len(inputs), -1),
    )


MODELS = {
    model.name: model
    for model in (
        Model("linear", linear),
        Model("additive", additive),
        Model("additive_gelu", additive_gelu),
        Model("xor", xor),
    )
}


def _additive(name: str, activation: nn.Module, functions: str) -> Network:
    generator = torch.Generator().manual_seed(0)
    hidden = nn.Linear(FEATURES, FEATURES * PIECES)
    own = torch.eye(FEATURES).repeat_interleave(PIECES, 0)  # each unit reads one feature
    _set(hidden, own * _draw(generator, *own.shape), _draw(generator, len(own)))
    readout = nn.Linear(FEATURES * PIECES, CLASSES)
    _set(readout, _draw(generator, CLASSES, len(own)) / PIECES**0.5, torch.zeros(CLASSES))
    return _network(
        name,
        nn.Sequential(hidden, activation, readout),
        2 * _draw(generator, EXAMPLES, FEATURES),
        f"logits Σ f_i(x_i), f_i {functions} with {PIECES} units each; the contributions are "
        "f_i(x_i) − f_i(0)",
        additive=True,
    )


def _network(
    name: str,
    model: nn.Module,
    inputs: Tensor,
    description: str,
    *,
    additive: bool,
    masks: Tensor | None = None,
) -> Network:
    model = model.eval().requires_grad_(False)
    with torch.no_grad():
        targets = model(inputs).argmax(1)
    return Network(
        name=name,
        model=model,
        inputs=inputs,
        labels=[f"class {target}" for target in targets.tolist()],
        description=description,
        weights_hash=hash_of(model.state_dict()),
        dataset="synthetic",
        baselines=_baselines(inputs),
        masks=masks,
        feature_names=tuple(f"x{feature}" for feature in range(inputs.shape[1])),
        contributions=_one_by_one(model, inputs, targets) if additive else None,
    )


@torch.no_grad()
def _one_by_one(model: Callable[[Tensor], Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
    """F_t(x_i e_i) − F_t(0): what feature i adds, alone as among others."""
    alone = torch.diag_embed(inputs)  # (examples, features, features), one on in each row
    values = model(alone.flatten(0, 1)).double() - model(torch.zeros_like(inputs[:1])).double()
    explained = targets.repeat_interleave(inputs.shape[1])[:, None]
    return values.gather(1, explained).reshape(inputs.shape)


def _baselines(inputs: Tensor) -> dict[str, Tensor]:
    """Zero, the inputs' mean, and for each example another one."""
    return {
        "zero": torch.zeros_like(inputs[:1]),
        "mean": inputs.mean(0, keepdim=True),
        "sample": inputs.roll(1, 0),
    }


def _draw(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator)


def _set(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    layer.weight = nn.Parameter(weight.clone())
    layer.bias = nn.Parameter(bias.clone())
