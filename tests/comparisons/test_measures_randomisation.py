"""Randomisation in the harness: its values, its null band, and where it is undefined."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from captum_ilin.metrics import Direction, mprt
from comparisons.measures.measure import Case
from comparisons.measures.randomisation import MEASURES, evenly
from comparisons.methods import METHODS
from comparisons.models.network import Network


def network(outputs: int = 3) -> Network:
    torch.manual_seed(1)
    layers = (nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, outputs))
    return Network(
        "small",
        nn.Sequential(*layers).eval(),
        torch.randn(2, 9),
        ["a", "b"],
        "two layers",
        "hash",
        twin=nn.Linear(9, outputs),
    )


def case(method: str = "Gradient") -> Case:
    return Case(network(), METHODS[method], 1, seed=4)


def parameters(name: str, **given: Any) -> dict[str, Any]:
    small = {"seeds": 2, "draws": 2, "layers": 2}
    defaults = MEASURES[name].defaults
    return {**defaults, **{k: v for k, v in small.items() if k in defaults}, **given}


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_runs_and_ranks_nothing(name: str) -> None:
    measure = MEASURES[name]
    found = list(measure.run(case(), **parameters(name)))
    assert found
    assert {value.quantity for value in found} <= set(measure.directions)
    assert set(measure.directions.values()) == {Direction.DESCRIPTIVE}
    assert all(value.reason is None for value in found)
    assert measure.undefined(METHODS["Gradient"], network()) is None


def test_values_tell_layer_seed_and_null_band() -> None:
    found = list(MEASURES["mprt"].run(case(), **parameters("mprt")))
    cascade = [value for value in found if value.quantity == "spearman"]
    assert [(value.layer, value.seed) for value in cascade] == [
        ("4", 0), ("0", 0), ("4", 1), ("0", 1),
    ]  # fmt: skip
    null = [value for value in found if value.quantity == "null_abs_spearman"]
    assert [(value.layer, value.seed) for value in null] == [(None, 0), (None, 1)]
    given = case()
    scores = mprt(
        given.explain, given.model, given.inputs, target=given.target, seeds=2, seed=4
    ).similarities["spearman"]  # fmt: skip
    assert cascade[3].value == scores.at(1, 2).values.item()


def test_the_estimate_counts_the_attributions() -> None:
    calls = 0

    class Counting:
        def __init__(self, model: Any) -> None:
            pass

        def attribute(self, inputs: torch.Tensor, target: Any = None) -> torch.Tensor:
            nonlocal calls
            calls += len(inputs)
            return torch.randn_like(inputs)

    method = replace(METHODS["Gradient"], make=lambda setting: Counting)
    for name, measure in MEASURES.items():
        calls = 0
        list(measure.run(Case(network(), method, 0, seed=1), **parameters(name)))
        assert calls == measure.attributions(parameters(name)), name


@pytest.mark.parametrize("name", ["mprt", "smooth_mprt"])
def test_controls_are_at_their_ends(name: str) -> None:
    found = MEASURES[name].run(
        case("input_only"),
        **parameters(name, noise=0.0) if name == "smooth_mprt" else parameters(name),
    )
    assert all(abs(value.value - 1) < 1e-12 for value in found)


def test_where_it_is_undefined() -> None:
    method, lone = METHODS["Gradient"], replace(network(), twin=None)
    assert MEASURES["data_randomisation"].undefined(method, lone) == (
        "small has no twin that was trained on permuted labels."
    )
    assert MEASURES["random_logit"].undefined(method, network(1)) == (
        "small has one output, so there is no other to explain."
    )


def test_layers_are_chosen_evenly() -> None:
    assert evenly("abcdefg", 1) == ("g",)
    assert evenly("abcdefg", 3) == ("a", "d", "g")
    assert evenly("abc", 6) == ("a", "b", "c")
