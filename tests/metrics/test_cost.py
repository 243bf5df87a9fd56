"""Passes and memory of a method; of time only that there is one."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from captum.attr import DeepLift, InputXGradient, IntegratedGradients, Occlusion, Saliency
from torch import Tensor, nn

from captum_ilin import InstanceWiseLinearization
from captum_ilin.metrics import Counted, MetricInputError, cost, median_seconds, peak_bytes
from tests.fingerprint import untouched


@pytest.fixture
def model() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("method", "further", "passes"),
    [
        (Saliency, {}, (1, 1)),
        (InputXGradient, {}, (1, 1)),
        (InstanceWiseLinearization, {}, (1, 1)),
        (IntegratedGradients, {"n_steps": 7}, (7, 7)),
        (IntegratedGradients, {"n_steps": 7, "internal_batch_size": 5}, (7, 7)),
        (DeepLift, {}, (2, 2)),
        (Occlusion, {"sliding_window_shapes": (2,)}, (6, 0)),
    ],
)
def test_passes_are_counted_in_rows(
    method: Any, further: dict[str, Any], passes: tuple[int, int], model: nn.Module
) -> None:
    inputs = torch.randn(5, 6)
    with pytest.warns() if method is DeepLift else untouched(model):
        found = cost(
            method,
            model,
            inputs,
            target=0,
            attribute_kwargs=further,
            repeats=1,
            memory=False,
        )
    assert (found.forwards, found.backwards) == tuple(5 * rows for rows in passes)
    assert found.seconds > 0
    assert found.peak_bytes is None


def test_functions_are_counted_too() -> None:
    found = cost(Saliency, lambda x: x.square().sum(1), torch.ones(2, 3))
    assert (found.forwards, found.backwards) == (2, 2)


def test_the_counting_model_takes_the_mode_and_keeps_count_in_copies(
    model: nn.Module,
) -> None:
    counted = Counted(model.eval())
    assert not counted.training
    copy.deepcopy(counted)(torch.randn(4, 6))
    assert counted.forwards == 4
    assert Counted(model.train()).training


def test_backward_passes_of_a_backward_pass_through_the_output_once() -> None:
    counted = Counted(nn.Linear(3, 2))
    outputs = counted(torch.randn(5, 3)).sum()
    outputs.backward(retain_graph=True)
    outputs.backward()
    assert counted.backwards == 10


def test_peak_is_what_is_held_at_once() -> None:
    def at_once() -> None:
        kept = [torch.zeros(1_000_000) for _ in range(3)]
        kept.clear()
        torch.zeros(1_000_000)

    assert peak_bytes(at_once) == pytest.approx(12_000_000, rel=1e-3)


def test_what_is_there_before_does_not_count() -> None:
    before = torch.zeros(1_000_000)
    assert peak_bytes(lambda: before[:1] + 1) < 100


def test_more_rows_at_once_take_more_memory(model: nn.Module) -> None:
    def peak(rows: int) -> int:
        found = cost(
            IntegratedGradients,
            model,
            torch.randn(1, 6),
            target=0,
            attribute_kwargs={"n_steps": 100, "internal_batch_size": rows},
            repeats=1,
        )
        assert found.peak_bytes is not None
        return found.peak_bytes

    assert peak(100) > 2 * peak(10)


def test_a_slow_function_is_not_repeated_beyond_its_budget() -> None:
    calls: list[int] = []
    median_seconds(partial(calls.append, 1), repeats=9, budget=0.0)
    assert len(calls) == 1
    calls.clear()
    median_seconds(partial(calls.append, 1), repeats=9)
    assert len(calls) == 9


def test_no_repeats_are_refused(model: nn.Module) -> None:
    with pytest.raises(MetricInputError, match="repeats is 0; expected 1 or more"):
        cost(Saliency, model, torch.ones(1, 6), target=0, repeats=0)


def test_everything_of_the_user_stays_as_it_was(model: nn.Module) -> None:
    x = torch.randn(2, 6)

    class Broken(Saliency):
        def attribute(self, inputs: Tensor, target: Any = None) -> Tensor:
            super().attribute(inputs, target=target)
            raise RuntimeError("broken")

    with untouched(model, x):
        cost(Saliency, model, x, target=0)
    with untouched(model, x), pytest.raises(RuntimeError, match="broken"):
        cost(Broken, model, x, target=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu_memory_is_the_devices(model: nn.Module) -> None:
    device = torch.device("cuda")
    assert peak_bytes(lambda: torch.zeros(1_000_000, device=device), device=device) >= 4_000_000
    found = cost(Saliency, model.to(device), torch.ones(2, 6, device=device), target=0)
    assert found.peak_bytes is not None
    assert found.peak_bytes > 0


def test_outputs_without_rows_are_told() -> None:
    with pytest.raises(MetricInputError, match="forward_func returned a tuple without rows"):
        cost(Saliency, lambda x: (x, x), torch.ones(2, 3), target=0)
