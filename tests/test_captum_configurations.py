"""Captum's own shipped test configurations, with our class in place of InputXGradient.

Their networks are made of ReLU and linear layers, where W∘x is InputXGradient. They do not
tell targets apart (in most, all have the same gradient): ``test_attribution`` does.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from captum.attr import InputXGradient, NoiseTunnel
from torch import Tensor

from captum_ilin import ILIN

configurations = pytest.importorskip(
    "captum.testing.attr.helpers.test_config",
    reason="this captum does not ship its test configurations",
)

CONFIGURATIONS = [c for c in configurations.config if InputXGradient in c["algorithms"]]
ROUNDING = {"rtol": 1e-5, "atol": 1e-5}  # float32, values up to 1e2


def attributed(method: Any, configuration: dict[str, Any], **more: Any) -> Any:
    arguments = dict(configuration["attribute_args"])
    if configuration.get("noise_tunnel", False):
        return NoiseTunnel(method).attribute(**arguments, **more)
    return method.attribute(**arguments, **more)


def as_tuple(value: Any) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


def test_captum_ships_configurations_for_input_x_gradient() -> None:
    names = {configuration["name"] for configuration in CONFIGURATIONS}
    assert len(names) >= 13
    assert {"basic_multi_input_multi_target", "basic_multiple_tuple_target_nt"} <= names


@pytest.mark.filterwarnings("ignore:Input Tensor .* did not already require:UserWarning")
@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: c["name"])
def test_configuration_gives_input_x_gradient(configuration: dict[str, Any]) -> None:
    model = copy.deepcopy(configuration["model"])
    torch.manual_seed(0)
    expected = attributed(InputXGradient(model), configuration)
    torch.manual_seed(0)
    ours = attributed(ILIN(model), configuration)
    assert isinstance(ours, type(expected))
    torch.testing.assert_close(as_tuple(ours), as_tuple(expected), **ROUNDING)


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: c["name"])
def test_configuration_has_no_delta(configuration: dict[str, Any]) -> None:
    model = copy.deepcopy(configuration["model"])
    _, delta = attributed(ILIN(model), configuration, return_convergence_delta=True)
    assert delta.dim() == 1
    size = max(
        float(value.abs().max()) for value in as_tuple(configuration_inputs(configuration))
    )
    assert delta.abs().max() <= 1e-4 * max(1.0, size)


def configuration_inputs(configuration: dict[str, Any]) -> Any:
    return configuration["attribute_args"]["inputs"]
