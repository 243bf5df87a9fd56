"""Callers' modes: compiled modules, threads, inference mode."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import InstanceWiseLinearization, linearize


def _network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)).double()


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # the compiler's own
def test_a_compiled_module_is_seen_through() -> None:
    network, x = _network(), torch.randn(2, 3, dtype=torch.float64)
    compiled = torch.compile(network, backend="eager")
    affine_map = linearize(compiled, x)
    assert affine_map.check().unregistered == {}
    assert torch.equal(_weight(compiled, x), _weight(network, x))
    assert torch.allclose(compiled(x), network(x))


def _weight(forward: object, x: Tensor) -> Tensor:
    weight = linearize(forward, x).weight(target=0)
    assert isinstance(weight, Tensor)
    return weight


def test_threads_do_not_see_each_other() -> None:
    networks = [_network() for _ in range(4)]
    x = torch.randn(5, 3, dtype=torch.float64)
    expected = [_weight(network, x) for network in networks]
    found: dict[int, Tensor] = {}

    def explain(number: int) -> None:
        for _ in range(10):
            found[number] = _weight(networks[number], x)

    threads = [threading.Thread(target=explain, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[number], expected[number]) for number in range(4))


def test_inference_mode_callers_get_the_same_map() -> None:
    network, x = _network(), torch.randn(5, 3, dtype=torch.float64)
    expected = InstanceWiseLinearization(network).attribute(x, target=1)
    with torch.inference_mode():
        made_inside = x * 1
        attributions = InstanceWiseLinearization(network).attribute(made_inside, target=1)
        bias = linearize(network, made_inside).bias(target=1)
    assert torch.equal(attributions, expected)
    assert torch.allclose(attributions.sum(1) + bias, network(x)[:, 1])


@pytest.mark.parametrize("caller", [nullcontext, torch.inference_mode])
def test_points_made_in_inference_mode_are_points_as_any(caller: Any) -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    affine_map = linearize(network, torch.randn(5, 3, dtype=torch.float64))
    point = torch.randn(5, 3, dtype=torch.float64)
    with torch.inference_mode():
        made_inside = point.clone()
    with caller():
        assert torch.equal(affine_map(made_inside), affine_map(point))
        assert torch.equal(affine_map.replay(made_inside), affine_map.replay(point))
        found = affine_map.validity(made_inside, [0.1])
        assert torch.equal(found, affine_map.validity(point, [0.1]))


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
def test_a_region_ends_at_the_same_step_for_callers_without_gradients(caller: Any) -> None:
    affine_map = linearize(torch.relu, torch.tensor([[1.0, 3.0]]))
    with caller():
        direction = torch.tensor([[-0.5, -1.0]])
        found = affine_map.region().exit(direction)
    assert (found.step, found.op, found.unit) == (2.0, "relu", (0, 0))
