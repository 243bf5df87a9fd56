"""The networks of a suite, loaded and looked over before anything is measured."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import nn

from comparisons.models.network import Network, hash_of
from comparisons.plural import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comparisons.harness.registry import Registry
    from comparisons.harness.suite import Suite
    from comparisons.models.network import Model

__all__ = ["Loaded", "Networks", "Unavailable", "examples_of", "hashes_of", "load_networks"]


class NetworkError(ValueError):
    """A network whose outputs the harness cannot explain."""


@dataclass(frozen=True)
class Unavailable:
    """In place of a network that cannot be had; all its cells fail with the reason."""

    reason: str


Loaded: TypeAlias = "Network | Unavailable"
Networks: TypeAlias = "dict[tuple[str, int | None], Loaded]"


def load_networks(suite: Suite, registry: Registry, device: str = "cpu") -> Networks:
    """(model, training seed) → network on the device, or why there is none."""
    return {
        (choice.name, seed): _loaded(registry.models[choice.name], seed, device)
        for choice in suite.models
        for seed in choice.seeds
    }


def _loaded(model: Model, seed: int | None, device: str) -> Loaded:
    try:
        with torch.random.fork_rng():  # building a network draws its first weights
            network = model.load(seed)
        _expect_logits(network)
        return network if device == "cpu" else _moved(network, device)
    except Exception as error:
        return Unavailable(f"{type(error).__name__}: {' '.join(str(error).split())}")


def _expect_logits(network: Network) -> None:
    """One row of logits for one example, and a target among them for each example."""
    with torch.no_grad():
        outputs = network.model(network.inputs[:1])
    shape = (
        tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
    )
    if not isinstance(outputs, torch.Tensor) or outputs.ndim != 2 or len(outputs) != 1:
        raise NetworkError(
            f"{network.name}: expected an output of shape (batch, classes), such as (1, 10) "
            f"for one example, got {shape}. Wrap the model in one that gives its logits so."
        )
    targets = network.targets
    if len(targets) != len(network.inputs):
        raise NetworkError(
            f"{network.name}: expected a target for each of its "
            f"{counted(len(network.inputs), 'example')}, got {len(targets)}."
        )
    if not 0 <= int(targets.min()) <= int(targets.max()) < outputs.shape[1]:
        raise NetworkError(
            f"{network.name}: expected targets from 0 to {outputs.shape[1] - 1}, since its "
            f"output has shape {shape}, got {int(targets.min())} to {int(targets.max())}."
        )


def _moved(network: Network, device: str) -> Network:
    """Every tensor and module of it on the device, whatever fields there are."""
    _ = network.targets  # read on the processor, for the same ones on every device
    return replace(
        network,
        **{each.name: _on(getattr(network, each.name), device) for each in fields(network)},
    )


def _on(value: Any, device: str) -> Any:
    if isinstance(value, torch.Tensor | nn.Module):
        return value.to(device)
    return (
        {name: _on(each, device) for name, each in value.items()}
        if isinstance(value, dict)
        else value
    )


def hashes_of(networks: Networks) -> dict[str, dict[str, str]]:
    """The hashes of the weights and of the data, of each network there is."""
    return {
        model if seed is None else f"{model} seed {seed}": {
            "weights": network.weights_hash,
            "data": hash_of({"inputs": network.inputs}),
        }
        for (model, seed), network in networks.items()
        if not isinstance(network, Unavailable)
    }


def examples_of(networks: Networks) -> Mapping[str, int]:
    """How many examples each model has that could be loaded."""
    return {
        model: len(network.inputs)
        for (model, _), network in networks.items()
        if not isinstance(network, Unavailable)
    }
