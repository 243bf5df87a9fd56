"""The main job: every method on every example of every model."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from torch import Tensor

from captum_ilin.metrics import Counted, median_seconds, peak_bytes
from comparisons.methods import METHODS, Setting
from comparisons.models import MODELS
from comparisons.picture import save_grid
from comparisons.records import Record, Records, provenance
from comparisons.table import markdown, print_tables

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from comparisons.methods import Method
    from comparisons.models import Network

__all__ = ["COMPARED", "SHOWN", "run"]

SHOWN = ("digits_cnn", "digits_vit", "efficientnet_lite0")
COMPARED = ("ILIN", "InputXGradient", "IG-50", "DeepLIFT", "Saliency")

EXAMPLES = 8


def run(
    folder: Path, models: list[str], methods: list[str], *, repeats: int, console: Console
) -> int:
    """Measure, record, and report; returns how many cells failed."""
    networks = [_few(MODELS[name].first()) for name in models]
    records = Records(folder)
    records.start(_provenance(networks, methods, repeats))
    maps: dict[tuple[str, str], list[Tensor | None]] = {}
    with _progress(console) as progress:
        total = sum(len(network.inputs) for network in networks) * len(methods)
        task = progress.add_task("", total=total)
        for network in networks:
            for name in methods:
                progress.update(task, description=f"{network.name}: {name}")
                cells = maps.setdefault((network.name, name), [])
                for example in range(len(network.inputs)):
                    record, attributions = _cell(network, METHODS[name], example, repeats)
                    records.append(record)
                    cells.append(attributions)
                    progress.advance(task)
    rows = list(records)
    print_tables(rows, networks, console)
    (folder / "table.md").write_text(markdown(rows, networks))
    pictures = [
        save_grid(folder, network, methods, maps, rows)
        for network in networks
        if network.images is not None
    ]
    console.print(
        "\nOn networks of ReLUs W∘x is InputXGradient: those rows agree, and ILIN adds b."
    )
    console.print("Exact is not the same as readable: look at the pictures.")
    for path in (records.path, folder / "table.md", *pictures):
        console.print(f"  {path}", highlight=False)
    return sum(row["error"] is not None for row in rows)


def _few(network: Network) -> Network:
    """The network with its first examples; the others are for larger suites."""
    return replace(network, inputs=network.inputs[:EXAMPLES])


def _cell(
    network: Network, method: Method, example: int, repeats: int
) -> tuple[Record, Tensor | None]:
    """One method on one example; an error becomes part of the record."""
    inputs = network.inputs[example : example + 1]
    with torch.no_grad():
        target = int(network.model(inputs).argmax())
    facts: dict[str, Any] = {
        "model": network.name,
        "method": method.name,
        "example": example,
        "label": network.labels[example],
        "target": target,
    }
    facts["value"] = _value(network, inputs, target)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            attributions, measured = _measured(network, method, example, target, repeats)
        except Exception as error:
            attributions, measured = None, {"error": f"{type(error).__name__}: {error}"}
    said = tuple(sorted({" ".join(str(w.message).split()) for w in caught}))
    return Record(**facts, **measured, warnings=said), attributions


def _measured(
    network: Network, method: Method, example: int, target: int, repeats: int
) -> tuple[Tensor, dict[str, Any]]:
    inputs = network.inputs[example : example + 1]
    counted = Counted(network.model)
    zero, noise = torch.zeros_like(inputs), _random_baseline(inputs)
    explainer = method.make(Setting(zero))(counted)
    attributions = explainer.attribute(inputs, target=target)
    measured: dict[str, Any] = {
        "forwards": counted.forwards,
        "backwards": counted.backwards,
        **_errors(network, method, inputs, target, attributions, zero),
    }
    if method.uses_baseline:
        found = method.make(Setting(noise))(counted).attribute(inputs, target=target)
        errors = _errors(network, method, inputs, target, found, noise)
        measured["random_baseline_error"] = errors["declared_error"]

    def once() -> Any:
        return explainer.attribute(inputs, target=target)

    measured["seconds"] = median_seconds(once, repeats)
    if example == 0:  # the same for every example
        measured["peak_bytes"] = peak_bytes(once)
    return attributions[0], measured


def _errors(
    network: Network,
    method: Method,
    inputs: Tensor,
    target: int,
    attributions: Tensor,
    baseline: Tensor,
) -> dict[str, float]:
    """Both completeness errors; nothing for a method that claims no sum."""
    if method.offset is None:
        return {}
    total, value = float(attributions.sum()), _value(network, inputs, target)
    offset = float(method.offset(network.model, inputs, target, Setting(baseline)))
    found = {
        "declared_error": abs(total + offset - value),
        "zero_baseline_error": abs(total - value + _value(network, baseline, target)),
    }
    if method.name == "ILIN":
        found["bias"] = offset
    return found


def _value(network: Network, inputs: Tensor, target: int) -> float:
    with torch.no_grad():
        return float(network.model(inputs)[0, target])


def _random_baseline(inputs: Tensor) -> Tensor:
    """Uniform noise over the input's own range; the same every time."""
    noise = torch.rand(inputs.shape, generator=torch.Generator().manual_seed(0))
    return inputs.min() + noise * (inputs.max() - inputs.min())


def _provenance(networks: list[Network], methods: list[str], repeats: int) -> dict[str, Any]:
    return provenance(
        methods=methods,
        repeats=repeats,
        dtype="float32",
        random_baseline_seed=0,
        models={
            network.name: {
                "description": network.description,
                "weights_sha256": network.weights_hash,
                "data_sha256": hashlib.sha256(
                    np.ascontiguousarray(network.inputs.numpy()).tobytes()
                ).hexdigest(),
            }
            for network in networks
        },
    )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<40}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
