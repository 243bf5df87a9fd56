"""Rows of a made-up run, with everything a report must cope with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from captum_ilin.metrics import Direction
from comparisons.measures.measure import Measure
from comparisons.records import Cell, Row, cell_of

if TYPE_CHECKING:
    from collections.abc import Iterator

HIGHER, LOWER, NEITHER = Direction.HIGHER, Direction.LOWER, Direction.DESCRIPTIVE
METHODS = (
    "ILIN",
    "InputXGradient",
    "IG-10",
    "IG-50",
    "IG-200",
    "Saliency",
    "LRP",
    "Mine",
    "random",
)
LAYERS = ("fc2", "fc1", "conv")
LONG_TAILED = ("output_stability", "cost")
STEPS = tuple(np.linspace(0, 1, 6).tolist())


def _measure(name: str, family: str, **directions: Direction) -> Measure:
    named = {"" if key == "only" else key: value for key, value in directions.items()}
    formula = f"{name}: made up (Nobody 2020)"
    medians = tuple(named) if name in LONG_TAILED else ()
    return Measure(name, family, named, lambda case: [], formula, medians=medians)


MEASURES = {
    measure.name: measure
    for measure in (
        _measure("completeness", "axiomatic", declared=LOWER, baseline=LOWER),
        _measure("deletion", "faithfulness", auc=LOWER, curve=NEITHER),
        _measure("insertion", "faithfulness", auc=HIGHER, curve=NEITHER),
        _measure("mprt", "randomisation", spearman=NEITHER, spearman_null=NEITHER),
        _measure("output_stability", "robustness", only=LOWER),
        _measure("pointing_game", "localisation", only=HIGHER),
        _measure("gini", "complexity", only=NEITHER),
        _measure("cost", "cost", seconds=LOWER, forwards=LOWER),
    )
}


def rows(
    models: tuple[str, ...] = ("digits_cnn", "digits_vit"),
    methods: tuple[str, ...] = METHODS,
    seeds: int = 3,
    examples: int = 8,
) -> list[Row]:
    """All rows of a run."""
    return [
        row
        for model in models
        for method in methods
        for seed in range(seeds)
        for example in range(examples)
        for group in groups(list(_cell(model, method, seed, example)))
        for row in group
    ]


def groups(found: list[Row]) -> list[list[Row]]:
    """The rows by cell, numbered as a run writes them."""
    by_cell: dict[Cell, list[Row]] = {}
    for row in found:
        by_cell.setdefault(cell_of(row), []).append(row)
    return [
        [replace(row, part=part, parts=len(group)) for part, row in enumerate(group)]
        for group in by_cell.values()
    ]


def _cell(model: str, method: str, seed: int, example: int) -> Iterator[Row]:
    name = "ILIN" if method == "InputXGradient" and model == "digits_cnn" else method
    level = METHODS.index(name) if name in METHODS else 3
    chance = np.random.default_rng([len(model), level, seed, example])
    hard = np.random.default_rng([len(model), seed, example]).normal()

    def row(metric: str, quantity: str = "", value: float | None = None, **more: Any) -> Row:
        facts = {"variant": "", **more}
        identity = ("made up, seed 0", "digits", model, seed, method, f"{level:08x}")
        variant = facts.pop("variant")
        return Row(
            *identity,
            example,
            example % 3,
            metric,
            variant,
            variant or "default",
            quantity,
            value=value,
            **facts,
        )

    steps = {"IG-10": 0.1, "IG-50": 0.02, "IG-200": 0.005}
    if method == "Saliency":
        yield row("completeness", reason="the method claims no sum")
    else:
        size = steps.get(method, 1e-7 if name != "LRP" else 2.0) * float(np.exp(hard / 3))
        yield row("completeness", "declared", size * float(chance.uniform(0.9, 1.1)))
        yield row("completeness", "baseline", abs(float(chance.normal(1, 0.1))))
    if method == "LRP" and model == "digits_vit":
        for variant in ("", "baseline=mean"):
            for metric in ("deletion", "insertion"):
                said = "RuntimeError: no rule for 50% of {LayerNorm}_"
                yield row(metric, variant=variant, reason=said, failed=True)
    else:
        for baseline in ("", "baseline=mean"):
            for metric, sign in (("deletion", -1), ("insertion", 1)):
                rate = 1 + 0.2 * level + 0.1 * float(chance.normal())
                curve = [np.exp(-rate * step) for step in STEPS]
                points = curve if sign < 0 else curve[::-1]
                yield row(metric, "auc", float(np.mean(points)) + 0.1 * hard, variant=baseline)
                for step, value in zip(STEPS, points, strict=True):
                    more = {"variant": baseline, "step": step}
                    yield row(metric, "curve", float(value), **more)
    for draw in range(5):
        yield row("mprt", "spearman_null", float(chance.normal(0.1, 0.05)), seed=draw)
        for part, layer in enumerate(LAYERS):
            left = 0.9 - 0.3 * part - 0.02 * level + 0.05 * float(chance.normal())
            yield row("mprt", "spearman", left, seed=draw, layer=layer)
    yield row("output_stability", "", float(chance.lognormal(level / 4, 1)))
    if example == 0:
        yield row("pointing_game", "", None, reason="no evidence is known for this example")
    else:
        yield row("pointing_game", "", float(chance.random() < 0.4 + level / 20))
    yield row("gini", "", 0.5 + level / 40 + 0.02 * hard)
    yield row("cost", "seconds", 1e-3 * 2.0 ** (level % 5) * float(chance.lognormal(0, 0.1)))
    yield row("cost", "forwards", float(2 ** (level % 5)))
    if method == "Mine":
        yield row("my metric", "", float(chance.normal()))
