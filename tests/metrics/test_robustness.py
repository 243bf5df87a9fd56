"""Max-sensitivity and the relative stabilities, against slow references from the definition."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from captum.attr import FeatureAblation, InputXGradient, IntegratedGradients, Saliency
from captum.metrics import sensitivity_max
from torch import Tensor, nn

from captum_ilin import InstanceWiseLinearization
from captum_ilin.metrics import (
    MetricInputError,
    max_sensitivity,
    relative_input_stability,
    relative_output_stability,
)
from tests.fingerprint import untouched

if TYPE_CHECKING:
    from collections.abc import Callable

STABILITIES = (relative_input_stability, relative_output_stability)
METRICS = (max_sensitivity, *STABILITIES)
each_metric = pytest.mark.parametrize("metric", METRICS)
each_stability = pytest.mark.parametrize("metric", STABILITIES)


@pytest.fixture
def model() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


@pytest.fixture
def inputs() -> Tensor:
    return torch.randn(5, 6, dtype=torch.float64)


def noise(radius: float, n_samples: int, seed: int, *shape: int) -> Tensor:
    """The documented draws: uniform, the same for every example."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(n_samples, *shape, dtype=torch.float64, generator=generator)
    return (2 * unit - 1) * radius


def attributed(model: nn.Module, x: Tensor, target: int) -> list[float]:
    """Input times gradient, one example."""
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(leaf[None])[0, target], leaf)
    return (slope * x).tolist()


def norm(values: list[float]) -> float:
    return math.sqrt(sum(value * value for value in values))


def relative(here: list[float], there: list[float]) -> float:
    return norm([(b - a) / a for a, b in zip(here, there, strict=True) if a != 0])


def reference(name: str, model: nn.Module, x: Tensor, target: int, shifts: Tensor) -> float:
    """One example, one neighbour at a time, in plain Python numbers."""
    e, h = attributed(model, x, target), model(x[None])[0].tolist()
    found = []
    for shift in shifts:
        near = x + shift
        e_near, h_near = attributed(model, near, target), model(near[None])[0].tolist()
        if name == "max_sensitivity":
            apart = norm([a - b for a, b in zip(e, e_near, strict=True)])
            found.append(apart / norm(e))
        elif h.index(max(h)) == h_near.index(max(h_near)):
            if name == "relative_input_stability":
                by = relative(x.tolist(), near.tolist())
            else:
                by = norm([a - b for a, b in zip(h, h_near, strict=True)])
            found.append(math.log(relative(e, e_near) / by))
    return max(found, default=math.nan)


@each_metric
@pytest.mark.parametrize("radius", [0.02, 1.0])
def test_agrees_with_the_definition(
    metric: Callable[..., Any], radius: float, model: nn.Module, inputs: Tensor
) -> None:
    """At radius 1 many neighbours have another class."""
    inputs[0, 2] = 0.0
    targets = [0, 1, 2, 0, 1]
    found = metric(InputXGradient, model, inputs, target=targets, radius=radius, n_samples=7)
    shifts = noise(radius, 7, 0, 6)
    expected = torch.tensor(
        [
            reference(metric.__name__, model, x, target, shifts)
            for x, target in zip(inputs, targets, strict=True)
        ],
        dtype=torch.float64,
    )
    assert torch.allclose(found.values, expected, rtol=1e-9, atol=1e-12, equal_nan=True)


@each_metric
def test_an_example_alone_gives_what_it_gives_in_a_batch(
    metric: Callable[..., Any], model: nn.Module, inputs: Tensor
) -> None:
    targets = torch.tensor([0, 1, 2, 0, 1])
    together = metric(InputXGradient, model, inputs, target=targets, batch_size=7).values
    alone = [
        metric(InputXGradient, model, row[None], target=int(t)).values
        for row, t in zip(inputs, targets, strict=True)
    ]
    assert torch.allclose(together, torch.cat(alone), rtol=1e-12)


@each_metric
def test_everything_of_the_user_stays_as_it_was(
    metric: Callable[..., Any], model: nn.Module, inputs: Tensor
) -> None:
    with untouched(model, inputs):
        metric(IntegratedGradients, model, inputs, target=0, n_samples=2)
    with untouched(model, inputs), pytest.raises(IndexError):
        metric(IntegratedGradients, model, inputs, target=7, n_samples=2)


@each_metric
def test_arguments_of_the_model_and_of_attribute_go_by_example(
    metric: Callable[..., Any], inputs: Tensor
) -> None:
    weight = torch.randn(6, 3, dtype=torch.float64)

    def forward(x: Tensor, scale: Tensor) -> Tensor:
        return torch.tanh(x @ weight * scale[:, None])

    scale, baselines = torch.rand(5, dtype=torch.float64) + 1, torch.rand_like(inputs)
    together = metric(
        IntegratedGradients,
        forward,
        inputs,
        target=1,
        additional_forward_args=scale,
        attribute_kwargs={"baselines": baselines},
        batch_size=5,
    ).values
    last = metric(
        IntegratedGradients,
        forward,
        inputs[4:],
        target=1,
        additional_forward_args=scale[4:],
        attribute_kwargs={"baselines": baselines[4:]},
    ).values
    assert torch.allclose(together[4:], last, rtol=1e-9)


@each_metric
def test_tuples_of_inputs(metric: Callable[..., Any], inputs: Tensor) -> None:
    def forward(one: Tensor, other: Tensor) -> Tensor:
        return torch.stack([(one * other).sum(1), one.sum(1)], 1)

    found = metric(Saliency, forward, (inputs, inputs.flip(0)), target=0)
    assert found.values.isfinite().all()


@pytest.mark.parametrize("method", [Saliency, InputXGradient, InstanceWiseLinearization])
def test_max_sensitivity_is_captums(method: Any, inputs: Tensor) -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    x = inputs.float()
    found = max_sensitivity(method, model, x, target=1, n_samples=4).values
    shifts = noise(0.02, 4, 0, 6).float()

    def perturb(expanded: Any) -> Tensor:
        part = expanded[0] if isinstance(expanded, tuple) else expanded
        return part + shifts.repeat(5, 1)

    def explain(x: Any, target: int) -> Any:
        part = x[0] if isinstance(x, tuple) else x
        with torch.enable_grad():
            leaf = part.clone().requires_grad_()
            return (method(model).attribute(leaf, target=target).detach(),)

    theirs = sensitivity_max(explain, x, perturb, n_perturb_samples=4, target=1)
    assert torch.allclose(found.float(), theirs, atol=6e-7)


def test_a_constant_map_does_not_move(model: nn.Module, inputs: Tensor) -> None:
    scores = max_sensitivity(lambda _: Map(torch.ones_like), model, inputs, target=0)
    assert scores.values.tolist() == [0.0] * 5


def test_fresh_noise_moves_by_about_its_length_times_the_root_of_two(
    model: nn.Module,
) -> None:
    x = torch.randn(3, 4000, dtype=torch.float64)
    scores = max_sensitivity(lambda _: Map(torch.randn_like), lambda x: x.sum(1), x)
    assert torch.allclose(scores.values, torch.full((3,), 2**0.5).double(), rtol=0.1)


class Map:
    """An explainer that is a function of the inputs alone."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def attribute(self, inputs: Tensor, target: Any = None) -> Tensor:
        return self.function(inputs)


def test_of_a_linear_model_contributions_change_as_the_input_does(inputs: Tensor) -> None:
    """(e − e') / e = (x − x') / x for e = w x: the logarithm of 1."""
    model = nn.Linear(6, 1).double()
    found = relative_input_stability(InputXGradient, model, inputs, target=0)
    assert torch.allclose(found.values, torch.zeros(5).double(), atol=1e-9)


def test_a_less_stable_map_scores_worse(model: nn.Module, inputs: Tensor) -> None:
    def rough(x: Tensor) -> Tensor:
        return torch.sin(200 * x) + 2

    for metric in METRICS:
        smooth, bad = (
            metric(lambda _, f=f: Map(f), model, inputs, target=0).median()
            for f in (lambda x: x.detach() + 3, rough)
        )
        assert smooth < bad


def test_a_map_that_does_not_move_counts_as_moved_by_the_floor(inputs: Tensor) -> None:
    model = nn.Linear(6, 1).double()
    found = relative_input_stability(
        lambda _: Map(torch.ones_like), model, inputs, target=0, floor=1e-3
    )
    shifts = noise(0.02, 10, 0, 6)
    nearest = ((shifts[None] / inputs[:, None]).norm(dim=2)).min(1).values
    assert torch.allclose(found.values, (1e-3 / nearest.clamp(min=1e-3)).log())


def test_outputs_that_do_not_move_count_as_moved_by_the_floor(inputs: Tensor) -> None:
    found = relative_output_stability(
        lambda _: Map(torch.clone), lambda x: torch.ones(len(x)), inputs, floor=1e-4
    )
    shifts = noise(0.02, 10, 0, 6)
    farthest = ((shifts[None] / inputs[:, None]).norm(dim=2)).max(1).values
    assert torch.allclose(found.values, (farthest / 1e-4).log())


@each_stability
def test_neighbours_of_another_class_are_left_out(metric: Callable[..., Any]) -> None:
    """The class turns at 0, where x is: about half of the neighbours remain."""

    def forward(x: Tensor) -> Tensor:
        return torch.stack([x.sum(1), -x.sum(1)], 1)

    calls: list[Tensor] = []

    def steep(x: Tensor) -> Tensor:
        calls.append(x.detach())
        return torch.where(x.sum(1, keepdim=True) < 0, 1e6, 1.0) * torch.ones_like(x)

    x = torch.full((1, 2), 1e-9, dtype=torch.float64)
    scores = metric(lambda _: Map(steep), forward, x, target=0)
    assert any((call.sum(1) < 0).any() for call in calls)
    assert float(scores.values) < 0  # the jump by 1e6 does not count


@each_stability
def test_none_left_is_nan_with_its_reason(metric: Callable[..., Any]) -> None:
    calls = iter(range(1000))

    def fickle(x: Tensor) -> Tensor:
        first = next(calls) == 0
        return x.new_tensor([[1.0, 0.0] if first else [0.0, 1.0]]).repeat(len(x), 1)

    scores = metric(lambda _: Map(torch.ones_like), fickle, torch.ones(1, 2), target=0)
    assert scores.reasons == ("every neighbour has another predicted class",)


@each_stability
def test_zero_attributions_have_no_relative_change(
    metric: Callable[..., Any], model: nn.Module, inputs: Tensor
) -> None:
    scores = metric(lambda _: Map(torch.zeros_like), model, inputs, target=0)
    assert scores.nan_count == 5
    assert "zero throughout" in str(scores.reasons[0])


def test_a_zero_input_has_no_relative_change(model: nn.Module) -> None:
    scores = relative_input_stability(Saliency, model, torch.zeros(1, 6).double(), target=0)
    assert scores.reasons == (
        "the inputs are zero throughout or not finite, so they have no relative change",
    )


def test_attributions_that_are_not_finite_are_nan(model: nn.Module, inputs: Tensor) -> None:
    scores = max_sensitivity(lambda _: Map(torch.log), model, inputs - 9, target=0)
    assert scores.reasons[0] == "the attributions at the input or near it are not finite"


@each_metric
def test_a_mask_of_each_example_goes_with_it(
    metric: Callable[..., Any], model: nn.Module, inputs: Tensor
) -> None:
    mask = torch.stack([torch.arange(6) // (1 + row) for row in range(5)])

    def found(rows: slice) -> Tensor:
        options: Any = {"target": 1, "attribute_kwargs": {"feature_mask": mask[rows]}}
        values: Tensor = metric(FeatureAblation, model, inputs[rows], **options).values
        return values

    alone = torch.cat([found(slice(row, row + 1)) for row in range(5)])
    torch.testing.assert_close(found(slice(None)), alone, rtol=1e-9, atol=0, equal_nan=True)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_outputs_that_are_not_finite_are_nan_with_a_reason(value: float) -> None:
    def broken(x: Tensor) -> Tensor:
        return torch.stack([x.sum(1), torch.full((len(x),), value)], 1)

    x = torch.rand(2, 6)
    found = relative_output_stability(lambda _: Map(torch.ones_like), broken, x, target=0)
    assert found.reasons == ("an output is not finite",) * 2


@each_metric
@pytest.mark.parametrize(
    ("inputs", "further", "message"),
    [
        (torch.ones(1, 6).long(), {}, "An input has dtype torch.int64; expected a floating"),
        (torch.ones(1, 6), {"radius": 0.0}, "radius is 0.0 and n_samples 10; expected"),
        (torch.ones(1, 6), {"n_samples": 0}, "radius is 0.02 and n_samples 0; expected"),
    ],
)
def test_bad_input(
    metric: Callable[..., Any],
    model: nn.Module,
    inputs: Tensor,
    further: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(MetricInputError, match=message):
        metric(Saliency, model, inputs, target=0, **further)


def test_stabilities_are_quantus_where_nothing_is_zero(inputs: Tensor) -> None:
    quantus = pytest.importorskip("quantus", reason="Quantus is not installed")
    from quantus.metrics.robustness import RelativeInputStability, RelativeOutputStability

    assert quantus is not None
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    shifts = noise(0.02, 1, 0, 6)
    e, near = (
        torch.tensor([attributed(model, row, 1) for row in rows])
        for rows in (inputs, inputs + shifts)
    )
    h, h_near = model(inputs).detach(), model(inputs + shifts).detach()
    peers = (
        RelativeInputStability(disable_warnings=True).relative_input_stability_objective(
            *(part.double().numpy() for part in (inputs, inputs + shifts, e, near))
        ),
        RelativeOutputStability(disable_warnings=True).relative_output_stability_objective(
            *(part.double().numpy() for part in (h, h_near, e, near))
        ),
    )
    for metric, theirs in zip(STABILITIES, peers, strict=True):
        ours = metric(InputXGradient, model, inputs, target=1, n_samples=1).values
        same = model(inputs).argmax(1) == model(inputs + shifts).argmax(1)
        assert torch.allclose(ours[same].exp(), torch.tensor(theirs)[same], rtol=1e-6)
