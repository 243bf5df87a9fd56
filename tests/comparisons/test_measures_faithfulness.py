"""Faithfulness in the harness: the metrics it stands for, parameters, and known answers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

from captum_ilin.metrics import GaussianNoise, deletion, infidelity, insertion, lerf, morf, srg
from comparisons.measures.faithfulness import MEASURES
from comparisons.measures.measure import Case, Value
from comparisons.methods import METHODS
from comparisons.models import synthetic

if TYPE_CHECKING:
    from comparisons.models.network import Network

LINEAR = synthetic.linear()
ROUNDING = {"rel": 1e-5, "abs": 1e-5}  # float32 networks with outputs below 10


def case(network: Network = LINEAR, method: str = "ILIN", example: int = 2) -> Case:
    return Case(network, METHODS[method], example, seed=4)


def values(name: str, given: Case, **parameters: Any) -> dict[str, Value]:
    """By quantity, without the curve's points."""
    found = MEASURES[name].run(given, **{**MEASURES[name].defaults, **parameters})
    return {value.quantity: value for value in found if value.step is None}


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_runs(name: str) -> None:
    measure = MEASURES[name]
    found = list(measure.run(case(), **measure.defaults))
    assert {value.quantity for value in found} == set(measure.directions)
    assert all(value.reason is None for value in found)
    assert measure.family == "faithfulness"


@pytest.mark.parametrize("perturbation", ["gaussian", "baseline"])
@pytest.mark.parametrize("method", ["ILIN", "Saliency", "Gradient"])
def test_the_flag_follows_the_method(method: str, perturbation: str) -> None:
    """On a linear network contributions and slopes are exact, and sizes of slopes are not."""
    found = values("infidelity", case(method=method), perturbation=perturbation)[""].value
    assert (found < 1e-9) == (method != "Saliency")


def test_infidelity_is_the_metric() -> None:
    given = case(method="Saliency")
    found = values("infidelity", given, perturbation="gaussian", scale=0.2, samples=30)
    for quantity, normalize in (("", False), ("normalised", True)):
        scores = infidelity(
            given.model,
            given.inputs,
            given.attributions,
            multiply_by_inputs=False,
            target=given.target,
            perturbation=GaussianNoise(0.2 * float(LINEAR.inputs.double().std())),
            n_perturb_samples=30,
            normalize=normalize,
            seed=4,
        )
        assert found[quantity].value == float(scores.values)
    assert found["normalised"].value <= found[""].value


def test_correlation_of_a_linear_network_is_one() -> None:
    found = values("faithfulness_correlation", case(), runs=20, subset_size=0.5)[""].value
    assert found == pytest.approx(1, **ROUNDING)
    flipped = values("faithfulness_correlation", case(method="sign_flipped"))[""].value
    assert flipped == pytest.approx(-1, **ROUNDING)


@pytest.mark.parametrize("name", ["deletion", "insertion"])
def test_a_curve_comes_with_its_area(name: str) -> None:
    given = case()
    found = list(MEASURES[name].run(given, **{**MEASURES[name].defaults, "steps": 4}))
    points = [(value.step, value.value) for value in found if value.quantity == "curve"]
    assert [step for step, _ in points] == [0, 0.25, 0.5, 0.75, 1]
    heights = [height for _, height in points]
    area = sum(heights[1:-1]) / 4 + (heights[0] + heights[-1]) / 8
    assert found[0].value == pytest.approx(area, **ROUNDING)
    metric = deletion if name == "deletion" else insertion
    scores = metric(given.model, given.inputs, given.attributions, target=given.target, steps=4)
    assert found[0].value == float(scores.values)


def test_srg_averages_over_baselines() -> None:
    given = case()
    gains = []
    for baseline in ("zero", "mean", "sample"):
        areas = [values(name, given, baseline=baseline)[""].value for name in ("lerf", "morf")]
        gains.append(areas[0] - areas[1])
    found = values("srg", given, baselines=["zero", "mean", "sample"])[""].value
    assert found == pytest.approx(sum(gains) / 3, **ROUNDING)
    assert values("srg", given)[""].value == pytest.approx(sum(gains[:2]) / 2, **ROUNDING)
    scores = srg(
        given.model,
        given.inputs,
        given.attributions,
        target=given.target,
        baselines=[given.baseline("zero"), given.baseline("mean")],
    )
    assert values("srg", given)[""].value == float(scores.values)


def test_a_better_ranking_scores_better() -> None:
    for name, sign in (("deletion", -1), ("insertion", 1), ("selectivity", -1), ("srg", 1)):
        ours = values(name, case())[""].value
        flipped = values(name, case(method="sign_flipped"))[""].value
        assert sign * (ours - flipped) > 0.1, name


def test_pixels_go_with_all_their_channels() -> None:
    """An image network without a feature mask: 4 pixels of 2 channels make 4 steps."""
    images = replace(
        LINEAR,
        inputs=LINEAR.inputs.reshape(-1, 2, 2, 2),
        baselines={},
        model=torch.nn.Sequential(torch.nn.Flatten(), LINEAR.model).eval(),
        images=np.zeros((32, 2, 2)),
    )
    parameters = MEASURES["deletion"].defaults
    for features, points in (("groups", 5), ("values", 9)):
        found = MEASURES["deletion"].run(case(images), **{**parameters, "features": features})
        assert len([value for value in found if value.quantity == "curve"]) == points
    blocks = replace(
        images, feature_mask=torch.tensor([0, 1, 0, 1]).reshape(1, 1, 2, 2).expand(1, 2, 2, 2)
    )
    found = MEASURES["deletion"].run(case(blocks), **parameters)
    assert len([value for value in found if value.quantity == "curve"]) == 3


@pytest.mark.parametrize("name", ["morf", "lerf", "srg"])
def test_a_network_without_the_baseline_says_so(name: str) -> None:
    bare = replace(LINEAR, baselines={})
    found = values(name, case(bare))[""]
    assert math.isnan(found.value)
    assert found.reason == "linear has no baseline 'other', only: zero"


def test_another_baseline_is_the_least_invented() -> None:
    given = case()
    for metric, name in ((morf, "morf"), (lerf, "lerf")):
        scores = metric(
            given.model,
            given.inputs,
            given.attributions,
            target=given.target,
            baselines=given.baseline("mean"),
        )
        assert values(name, given)[""].value == float(scores.values)


def test_parameters_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="perturbation is 'uniform'; expected 'gaussian'"):
        values("infidelity", case(), perturbation="uniform")
    with pytest.raises(ValueError, match="features is 'pixels'; expected 'groups'"):
        values("deletion", case(), features="pixels")


@pytest.mark.parametrize(
    ("name", "rows"),
    [("deletion", 51), ("srg", 204), ("infidelity", 102), ("faithfulness_correlation", 101)],
)
def test_the_estimate_of_forward_rows(name: str, rows: int) -> None:
    measure = MEASURES[name]
    assert measure.forwards(measure.defaults) == rows
