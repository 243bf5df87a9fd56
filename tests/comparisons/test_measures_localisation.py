"""Localisation and complexity in the harness: on networks whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

from captum_ilin.metrics import gini, relevance_mass_accuracy
from comparisons.measures import complexity, localisation
from comparisons.measures.measure import Case
from comparisons.methods import METHODS
from comparisons.models import synthetic, synthetic_images

if TYPE_CHECKING:
    from comparisons.methods import Method
    from comparisons.models.network import Network

MEASURES = localisation.MEASURES | complexity.MEASURES


ILIN_METHOD, GRADIENT, INTEGRATED, SALIENCY, CONSTANT = (
    METHODS[name] for name in ("ILIN", "InputXGradient", "IG-200", "Saliency", "constant")
)


def values(name: str, network: Network, method: Method, example: int = 0) -> dict[str, Any]:
    found = MEASURES[name].run(
        Case(network, method, example, seed=0), **MEASURES[name].defaults
    )
    return {value.quantity: value for value in found}


@pytest.mark.parametrize("method", [ILIN_METHOD, GRADIENT, INTEGRATED])
def test_every_method_finds_a_linear_networks_contributions(method: Method) -> None:
    found = values("true_contributions", synthetic.linear(), method)
    assert found["correlation"].value == pytest.approx(1, abs=1e-6)  # float32
    assert found["relative error"].value <= 1e-5


@pytest.mark.parametrize("network", [synthetic.additive(), synthetic.additive_gelu()])
def test_integrated_gradients_finds_an_additive_networks_contributions(
    network: Network,
) -> None:
    # 200 steps of a line from 0 to x: each kink is met within 1/200 of its place.
    error = values("true_contributions", network, INTEGRATED)["relative error"].value
    assert error < 0.02
    slope = values("true_contributions", network, GRADIENT)["relative error"].value
    assert slope > 0.05  # the slope at x is not the way from 0


def test_slopes_have_no_error_as_contributions() -> None:
    found = values("true_contributions", synthetic.linear(), SALIENCY)
    assert math.isnan(found["relative error"].value)
    assert found["relative error"].reason == "Saliency gives slopes, not contributions"
    assert found["correlation"].reason is None


def test_a_constant_map_correlates_with_nothing() -> None:
    found = values("true_contributions", synthetic.linear(), CONSTANT)["correlation"]
    assert found.reason == "the attributions or the truth are constant, or not finite"


@pytest.mark.parametrize("example", [0, 3])
@pytest.mark.parametrize("method", [ILIN_METHOD, GRADIENT])
@pytest.mark.parametrize("name", ["pointing_game", "relevance_mass_accuracy"])
def test_a_planted_patch_is_found(name: str, method: Method, example: int) -> None:
    assert values(name, synthetic_images.patch(), method, example)[""].value == 1


def test_images_are_judged_by_pixels() -> None:
    network = synthetic_images.patch()
    found = values("relevance_mass_accuracy", network, ILIN_METHOD)[""].value
    case = Case(network, ILIN_METHOD, 0, seed=0)
    assert case.mask is not None
    by_channel = relevance_mass_accuracy(case.attributions, case.mask)
    by_pixel = relevance_mass_accuracy(case.attributions, case.mask.any(1, keepdim=True))
    assert found == float(by_pixel.values)
    assert float(by_channel.values) == found == 1  # nothing at all lies outside the patch
    shares = values("gini", network, ILIN_METHOD)[""].value
    assert shares == float(gini(case.attributions.sum(1)).values)
    assert shares != float(gini(case.attributions).values)


def test_the_constant_map_scores_chance_in_a_grid() -> None:
    network = synthetic_images.grid()
    assert values("grid_pointing_game", network, CONSTANT)[""].value == 0.25
    assert values("relevance_auc", network, CONSTANT)[""].value == 0.5


def test_contributions_find_the_grids_cell_and_magnitudes_do_not() -> None:
    network = synthetic_images.grid()
    ours = values("grid_pointing_game", network, ILIN_METHOD)[""].value
    magnitudes = values("grid_pointing_game", network, SALIENCY)[""].value
    assert ours > 0.9  # a little noise under the other patches is negative against negative
    assert magnitudes < 0.7  # five times ⅙ against ⅚ by the readout's weights


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pointing_game", "linear has no masks: nobody knows where the evidence lies"),
        ("relevance_auc", "linear has no masks: nobody knows where the evidence lies"),
        (
            "grid_pointing_game",
            "the inputs of linear are no grids of images of different classes",
        ),
    ],
)
def test_what_is_undefined_is_said(name: str, message: str) -> None:
    assert MEASURES[name].undefined(ILIN_METHOD, synthetic.linear()) == message


def test_networks_without_an_additive_truth_have_no_true_contributions() -> None:
    said = MEASURES["true_contributions"].undefined(ILIN_METHOD, synthetic.xor())
    assert said == "the true contributions of xor are not known"


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_runs_where_it_is_defined(name: str) -> None:
    networks = [synthetic.linear(), synthetic.xor(), synthetic_images.grid()]
    measure = MEASURES[name]
    ran = 0
    for network in networks:
        if measure.undefined(ILIN_METHOD, network) is None:
            found = list(measure.run(Case(network, ILIN_METHOD, 1, seed=0), **measure.defaults))
            assert {value.quantity for value in found} == set(measure.directions)
            ran += 1
    assert ran


def test_attributions_that_fail_are_not_hidden() -> None:
    network = replace(synthetic.linear(), contributions=torch.zeros(32, 8))
    found = values("true_contributions", network, ILIN_METHOD)["relative error"]
    assert found.reason == "the true contributions are 0, or the attributions are not finite"
