"""The harness's axiomatic measures on a ReLU network of six inputs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from captum_ilin.metrics import sensitivity_n
from comparisons.measures import MEASURES
from comparisons.measures.measure import Case, Value
from comparisons.methods import METHODS
from comparisons.models.network import Network

AXIOMATIC = {name: m for name, m in MEASURES.items() if m.family == "axiomatic"}
# Float32 sums of some 10 numbers, in a few layers.
ROUNDING = 1e-5


@pytest.fixture
def network() -> Network:
    model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3)).eval()
    inputs = torch.randn(3, 6)
    return Network(
        "tiny",
        model,
        inputs,
        ["a", "b", "c"],
        "random",
        "",
        baselines={"mean": inputs.mean(0, keepdim=True)},
        feature_mask=torch.tensor([[0, 1, 2, 3, 4, 4]]),
        window=(2,),
    )


def _values(network: Network, name: str, method: str, **parameters: object) -> list[Value]:
    measure = AXIOMATIC[name]
    case = Case(network, METHODS[method], 1, seed=3)
    return list(measure.run(case, **{**measure.defaults, **parameters}))


def _by_quantity(*arguments: object, **parameters: object) -> dict[str, float]:
    found = _values(*arguments, **parameters)  # type: ignore[arg-type]
    return {value.quantity: value.value for value in found}


@pytest.mark.parametrize("name", AXIOMATIC)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_its_numbers_or_a_reason(
    network: Network, name: str, method: str
) -> None:
    measure = AXIOMATIC[name]
    reason = measure.undefined(METHODS[method], network)
    if reason is not None:
        assert reason.startswith(f"{method} ")
        return
    values = _values(network, name, method)
    assert {value.quantity for value in values} == set(measure.directions)
    for value in values:
        assert math.isnan(value.value) == (value.reason is not None)
    assert _same(values, _values(network, name, method))


def _same(first: list[Value], second: list[Value]) -> bool:
    return [repr(value) for value in first] == [repr(value) for value in second]


def test_each_method_is_held_to_its_own_sum(network: Network) -> None:
    ilin = _by_quantity(network, "completeness", "ILIN")
    assert max(ilin["declared"], ilin["declared_relative"]) < ROUNDING < ilin["baseline"]
    bias = _by_quantity(network, "bias_share", "ILIN")[""]
    gradient = _by_quantity(network, "completeness", "InputXGradient")
    # On a ReLU network InputXGradient leaves out the bias, and nothing else.
    assert gradient["declared_relative"] == pytest.approx(bias, rel=1e-3)
    path = _by_quantity(network, "completeness", "IG-200")
    assert path["declared"] == path["baseline"] < 0.1


def test_a_missing_offset_or_baseline_has_a_reason(network: Network) -> None:
    occlusion = _values(network, "completeness", "Occlusion", baseline="blur")
    assert [value.reason for value in occlusion] == [
        *["Occlusion does not say what its attributions add up to"] * 2,
        "tiny has no baseline 'blur', only: zero, mean",
    ]


def test_slopes_and_methods_without_a_map_are_left_out(network: Network) -> None:
    def why(name: str, method: str) -> str | None:
        return AXIOMATIC[name].undefined(METHODS[method], network)

    slopes = "Saliency gives slopes, not contributions: they add up to nothing"
    assert why("completeness", "Saliency") == slopes
    assert why("local_fidelity", "IG-50") == "IG-50 is not W ∘ x of an affine map"
    unseen = "LRP has rules for modules, and does not see what stands outside them"
    assert why("linearity", "LRP") == why("input_invariance", "LRP") == unseen
    assert why("bias_share", "ILIN") is why("dummy", "Saliency") is None


def test_the_map_is_the_network_nearby(network: Network) -> None:
    found = _by_quantity(network, "local_fidelity", "ILIN-tangent")
    assert found["error"] < ROUNDING
    assert found["inside"] > 0.5


def test_sensitivity_n_goes_by_groups_and_has_the_mean_of_its_sizes(network: Network) -> None:
    mean, *curve = _values(network, "sensitivity_n", "ILIN", sizes=(0.2, 0.6), baseline="mean")
    assert [(value.quantity, value.step) for value in curve] == [("curve", 0.2), ("curve", 0.6)]
    assert mean.value == pytest.approx(sum(value.value for value in curve) / 2)
    case = Case(network, METHODS["ILIN"], 1, seed=3)
    expected = sensitivity_n(
        network.model,
        case.inputs,
        case.attributions,
        sizes=3,
        target=case.target,
        baselines=case.baseline("mean"),
        feature_mask=network.feature_mask,
        subsets=50,
        seed=3,
    )
    assert curve[1].value == float(expected.values)


def test_constant_attributions_have_no_correlation(network: Network) -> None:
    mean, *_ = _values(network, "sensitivity_n", "constant", sizes=(0.3,), features="values")
    assert mean.reason is not None
    assert mean.reason.startswith(
        "the summed attributions, or the changes of the output, are not"
    )


def test_the_map_gives_nothing_to_what_is_not_read_and_controls_give_half(
    network: Network,
) -> None:
    assert _by_quantity(network, "dummy", "ILIN") == {"": 0.0}
    assert _by_quantity(network, "dummy", "constant") == {"": 0.5}


def test_who_is_linear(network: Network) -> None:
    assert _by_quantity(network, "linearity", "ILIN")[""] < ROUNDING
    assert _by_quantity(network, "linearity", "DeepLIFT")[""] < ROUNDING
    assert _by_quantity(network, "linearity", "Saliency")[""] > 0.1


def test_who_depends_on_the_implementation(network: Network) -> None:
    ilin = _by_quantity(network, "implementation_invariance", "ILIN")
    assert max(ilin.values()) < ROUNDING
    guided = _by_quantity(network, "implementation_invariance", "GuidedBackprop")
    assert guided["rescaled"] < ROUNDING < 0.05 < guided["split"]
    network.model[1] = nn.GELU()
    split, rescaled = _values(network, "implementation_invariance", "ILIN")
    assert split.value < ROUNDING
    assert rescaled.reason == "tiny has no layers in sequence that could be rescaled"


def test_who_depends_on_the_origin(network: Network) -> None:
    assert _by_quantity(network, "input_invariance", "Gradient")["kept"] < ROUNDING
    path = _by_quantity(network, "input_invariance", "IG-50")
    assert path["moved"] < 1e-3 < 0.1 < path["kept"]
    kept, moved = _values(network, "input_invariance", "ILIN")
    assert kept.value > 0.1
    assert moved.reason == "ILIN has no baseline that could be moved"


def test_the_costs_that_a_run_is_estimated_from() -> None:
    sensitivity, fidelity = AXIOMATIC["sensitivity_n"], AXIOMATIC["local_fidelity"]
    assert sensitivity.forwards(sensitivity.defaults) == 5 * 51
    assert fidelity.attributions(fidelity.defaults) == 33
