"""The parameter randomisation test against a slow one, and the laws that it obeys."""

from __future__ import annotations

import copy
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import torch
from captum.attr import InputXGradient, NoiseTunnel, Saliency
from torch import Tensor, nn

from captum_ilin.metrics import (
    Direction,
    MetricInputError,
    data_randomisation,
    efficient_mprt,
    histogram_entropy,
    mprt,
    random_logit,
    smooth_mprt,
    spearman,
)

if TYPE_CHECKING:
    from captum_ilin.metrics import Cascade

ORDERS = ("top_down", "bottom_up", "independent")
SIZE = 36


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(SIZE, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Linear(12, 8), nn.Tanh(),
        nn.Linear(8, 3),
    ).eval()  # fmt: skip


class Gradient(Saliency):
    def attribute(self, inputs: Any, target: Any = None, **extra: Any) -> Any:
        return super().attribute(inputs, target=target, abs=False, **extra)


class Explainer:
    """Attributions as a function of inputs alone."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def attribute(self, inputs: Tensor, target: Any = None) -> Tensor:
        return self.given(inputs)

    def given(self, inputs: Tensor) -> Tensor:
        return inputs.detach() ** 3


class Noise(Explainer):
    def given(self, inputs: Tensor) -> Tensor:
        return torch.randn_like(inputs)


def gradient_of(model: nn.Module, row: Tensor, target: int) -> Tensor:
    leaf = row.clone()[None].requires_grad_()
    (found,) = torch.autograd.grad(model(leaf)[0, target], leaf)
    return found


def set_to(module: Any, seed: int) -> None:
    """A deterministic stand-in for a draw."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.linspace(-1, 1.5, parameter.numel()).view_as(parameter).sin())


def slow_cascade(model: nn.Module, inputs: Tensor, targets: list[int], order: str) -> Tensor:
    names = ["0", "1", "3", "5"]
    names = names[::-1] if order == "top_down" else names
    values = []
    for number in range(len(names)):
        changed = copy.deepcopy(model)
        reached = names[number : number + 1] if order == "independent" else names[: number + 1]
        for name in reached:
            set_to(changed.get_submodule(name), 0)
        values.append(
            [
                spearman(gradient_of(model, x, t), gradient_of(changed, x, t)).values.item()
                for x, t in zip(inputs, targets, strict=True)
            ]
        )
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("order", ORDERS)
def test_mprt_is_its_definition(order: Any) -> None:
    model, inputs, targets = network().double(), torch.randn(4, SIZE).double(), [0, 2, 1, 2]
    found = mprt(
        Gradient, model, inputs, target=targets, order=order, seeds=2, randomise=set_to
    )
    expected = slow_cascade(model, inputs, targets, order)
    values = found.similarities["spearman"].values
    assert (values - expected).abs().max() <= 1e-14  # sums of ranks are exact
    assert found.layers == (
        ("5", "3", "1", "0") if order == "top_down" else ("0", "1", "3", "5")
    )


def test_a_class_that_is_not_held_fixed_is_caught() -> None:
    model, inputs = network().double(), torch.randn(4, SIZE).double()
    held = slow_cascade(model, inputs, [0, 2, 1, 2], "top_down")
    moved = slow_cascade(model, inputs, [1, 0, 2, 1], "top_down")
    assert (held - moved).abs().max() > 1e-3


@pytest.mark.parametrize("order", ORDERS)
def test_without_randomisation_the_similarity_is_one_exactly(order: Any) -> None:
    found = mprt(
        Gradient, network(), torch.randn(3, SIZE), target=1, order=order,
        randomise=lambda module, seed: None,
    )  # fmt: skip
    assert all((entries.values == 1).all() for entries in found.similarities.values())


def test_attributions_of_the_input_alone_never_change() -> None:
    images = torch.randn(3, 1, 12, 12)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(200, 2))
    names = ("spearman", "abs_spearman", "ssim", "hog")
    found = mprt(Explainer, model, images, target=0, similarities=names, null=True)
    for name in names:
        assert (found.similarities[name].values - 1).abs().max() <= 1e-12
        assert (found.null[name].values - 1).abs().max() <= 1e-12


def test_fresh_noise_is_the_null() -> None:
    found = mprt(Noise, network(), torch.randn(64, SIZE), target=0, batch_size=64)
    values = found.similarities["spearman"].values
    spread = 1 / math.sqrt(SIZE - 1)
    draws = values.shape[0] * values.shape[1]  # one original for all: not more are independent
    assert abs(values.mean()) < 4 * spread / math.sqrt(64)
    assert abs(values.std() / spread - 1) < 4 / math.sqrt(2 * draws)


@pytest.mark.parametrize("method", [Gradient, lambda model: NoiseTunnel(Saliency(model))])
def test_an_example_scores_the_same_alone(method: Any) -> None:
    """In float64: batched and single matrix products round differently."""
    model, inputs = network().double(), torch.randn(5, SIZE).double()
    target = torch.tensor([0, 1, 2, 1, 0])
    options: dict[str, Any] = {"seeds": 2, "null": True, "batch_size": 1}
    together = mprt(method, model, inputs, target=target, **options)
    alone = mprt(method, model, inputs[3:4], target=target[3:4], **options)
    for entries, single in (
        (together.similarities, alone.similarities),
        (together.null, alone.null),
    ):
        for name in entries:
            assert torch.equal(entries[name].values[..., 3:4], single[name].values)


def test_the_batch_size_does_not_matter() -> None:
    model, inputs = network().double(), torch.randn(7, SIZE).double()
    one, other = (
        mprt(Gradient, model, inputs, target=0, batch_size=size, null=True) for size in (3, 64)
    )
    for name in ("spearman", "abs_spearman"):
        assert torch.equal(one.similarities[name].values, other.similarities[name].values)
        assert torch.equal(one.null[name].values, other.null[name].values)


def test_draws_depend_neither_on_other_layers_nor_on_other_seeds() -> None:
    model, inputs = network().double(), torch.randn(3, SIZE).double()

    def found(**options: Any) -> Tensor:
        cascade = mprt(Gradient, model, inputs, target=0, order="independent", **options)
        return cascade.similarities["spearman"].values

    assert torch.equal(found(seeds=4)[:2, 2:3], found(seeds=2, layers=["3"]))
    assert not torch.equal(found(seeds=1, seed=1), found(seeds=1))
    generator = torch.Generator().manual_seed(1)
    assert torch.equal(found(seeds=1, seed=1), found(seeds=1, seed=generator))


class FailingError(Exception):
    pass


class Failing(Explainer):
    def given(self, inputs: Tensor) -> Tensor:
        raise FailingError


@pytest.mark.filterwarnings("ignore::captum_ilin.errors.TrainingModeWarning")
@pytest.mark.parametrize("method", [Gradient, Noise, Failing])
def test_everything_is_left_as_it_was(method: Any) -> None:
    model, inputs = network().train(), torch.randn(3, SIZE, requires_grad=True)
    model[0].weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    for call in (mprt, smooth_mprt, efficient_mprt):
        options: Any = {"draws": 2} if call is smooth_mprt else {}
        with suppress(FailingError):
            call(method, model, inputs, target=0, seeds=1, **options)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()][:2] == [False, True]
    assert all(p.grad is None for p in (*model.parameters(), inputs))


def test_means_are_per_example_and_missing_values_are_left_out() -> None:
    inputs = torch.randn(3, SIZE)
    inputs[1] = 0  # InputXGradient is constant there
    found = mprt(InputXGradient, network(), inputs, target=0, seeds=2, null=True)
    values = found.similarities["spearman"].values
    assert torch.allclose(found.mean().values[::2], values.mean((0, 1))[::2])
    assert torch.allclose(found.final().values[::2], values[:, -1].mean(0)[::2])
    constant = "The map is constant, so its values have no order."
    for scores in (found.mean(), found.final("abs_spearman"), found.null_mean()):
        assert scores.reasons == (None, constant, None)
        assert scores.direction is Direction.DESCRIPTIVE
    assert found.similarities["spearman"].at(1, 0).reasons == (None, constant, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "sideways"}, "expected one of top_down, bottom_up, independent, got 'side"),
        ({"seeds": 0}, "expected 1 or more randomisations, got 0"),
        ({"layers": ["7"]}, "expected some of 0, 1, 3, 5, the modules .* got 7. randomisable_"),
        ({"layers": []}, "expected some of 0, 1, 3, 5, .* got none"),
        ({"similarities": ["psnr"]}, "expected some of spearman, abs_spearman, ssim, hog; got"),
        ({"batch_size": 0}, "batch_size: expected 1 or more, got 0"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MetricInputError, match=message):
        mprt(Gradient, network(), torch.randn(2, SIZE), target=0, **options)


def test_what_was_not_computed_is_refused() -> None:
    found: Cascade = mprt(
        Gradient, network(), torch.randn(2, SIZE), target=0, order="independent", seeds=1
    )
    with pytest.raises(MetricInputError, match="where every layer but one is as trained"):
        found.final()
    with pytest.raises(MetricInputError, match="spearman: expected one of none, which were"):
        found.null_mean()
    with pytest.raises(MetricInputError, match=r"expected an nn\.Module, .*, got function"):
        mprt(Gradient, lambda inputs: inputs, torch.randn(2, SIZE))  # type: ignore[arg-type]


def test_several_inputs_with_arguments_of_their_own() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 2), nn.Linear(4, 2)

        def forward(self, one: Tensor, two: Tensor, scale: Tensor) -> Tensor:
            return scale[:, None] * (self.first(one).tanh() * self.second(two))

    inputs = (torch.randn(5, 6).double(), torch.randn(5, 4).double())
    scale, target = torch.rand(5).double(), [0, 1, 1, 0, 1]
    model = Two().double()
    found = [
        mprt(
            Gradient, model, inputs, target=target, additional_forward_args=scale,
            batch_size=size,
        ).mean().values
        for size in (2, 5)
    ]  # fmt: skip
    assert torch.equal(*found)


def test_smooth_attributions_are_averages_over_noise() -> None:
    """A linear gradient's average is that at the input; a squared one's has the variance."""
    seen: list[Tensor] = []

    class Square(Explainer):
        def given(self, inputs: Tensor) -> Tensor:
            seen.append(inputs.detach().clone())
            return inputs.detach() ** 2

    inputs = torch.rand(2, SIZE)
    model = network()
    smooth_mprt(Square, model, inputs, target=0, draws=200, noise=0.2, seeds=1, layers=["5"])
    rows = torch.cat(seen)[: 2 * 200].reshape(2, 200, SIZE)
    spread = 0.2 * (inputs.amax(1) - inputs.amin(1))
    error = (rows.mean(1) - inputs) / spread[:, None]
    assert error.abs().max() < 5 / math.sqrt(200)
    unit = (rows - inputs[:, None]) / spread[:, None, None]
    assert torch.allclose(unit[0], unit[1], atol=1e-5)  # the same draws for every example
    assert abs(unit.std() - 1) < 5 / math.sqrt(2 * 200 * SIZE)


def test_smooth_mprt_without_noise_is_mprt() -> None:
    model, inputs = network().double(), torch.randn(3, SIZE).double()
    plain = mprt(Gradient, model, inputs, target=0, randomise=set_to)
    smooth = smooth_mprt(
        Gradient, model, inputs, target=0, draws=3, noise=0.0, batch_size=4, randomise=set_to
    )
    a, b = (found.similarities["spearman"].values for found in (plain, smooth))
    assert (a - b).abs().max() <= 1e-12
    with pytest.raises(MetricInputError, match="expected draws ≥ 1 and noise ≥ 0, got 0 and"):
        smooth_mprt(Gradient, model, inputs, target=0, draws=0)


def test_histogram_entropy_is_its_definition() -> None:
    map = torch.randn(3, 5, 8, dtype=torch.float64)
    for row, found in zip(
        map.flatten(1).tolist(), histogram_entropy(map, bins=7).values, strict=True
    ):
        low, width = min(row), (max(row) - min(row)) / 7
        counts = [0] * 7
        for value in row:
            counts[min(6, int((value - low) / width))] += 1
        parts = [count / len(row) for count in counts if count]
        assert found.item() == pytest.approx(-sum(p * math.log(p) for p in parts), abs=1e-14)


@pytest.mark.parametrize("unit", [2.0**-52, 2.0**1023])
def test_histograms_of_the_narrowest_and_the_widest_maps(unit: float) -> None:
    map = torch.tensor([[1.0, 0.0, 0.0, -0.5]], dtype=torch.float64) * unit + 1
    found = histogram_entropy(map).values.item()
    assert found == pytest.approx(-(0.5 * math.log(0.5) + 0.5 * math.log(0.25)), abs=1e-15)


def test_efficient_mprt_is_the_relative_rise_of_entropy() -> None:
    model, inputs = network().double(), torch.randn(3, SIZE).double()
    changed = copy.deepcopy(model)
    for module in changed:
        set_to(module, 0)
    before, after = (
        histogram_entropy(torch.cat([gradient_of(m, row, 1) for row in inputs])).values
        for m in (model, changed)
    )
    found = efficient_mprt(Gradient, model, inputs, target=1, seeds=2, randomise=set_to)
    assert torch.allclose(found.values, after / before - 1, rtol=1e-12)
    constant = efficient_mprt(Explainer, model, torch.ones_like(inputs[:1]), seeds=1)
    assert constant.reasons == (
        "The original map fills one bin, so a relative rise of its entropy is undefined.",
    )


def test_data_randomisation_compares_with_the_twin() -> None:
    model, twin, inputs = network().double(), network().double(), torch.randn(5, SIZE).double()
    target = torch.tensor([0, 1, 2, 0, 1])
    found = data_randomisation(Gradient, model, twin, inputs, target=target, batch_size=2)
    for row in range(5):
        maps = [gradient_of(m, inputs[row], int(target[row])) for m in (model, twin)]
        assert found["spearman"].values[row] == spearman(*maps).values[0]
    same = data_randomisation(Gradient, model, model, inputs, target=target)
    assert (same["abs_spearman"].values == 1).all()


def test_random_logit_compares_with_every_other_output() -> None:
    model, inputs, target = network().double(), torch.randn(4, SIZE).double(), [0, 2, 1, 2]
    found = random_logit(Gradient, model, inputs, target=target, draws=2, batch_size=3)
    for row, own in enumerate(target):
        map = gradient_of(model, inputs[row], own)
        others = [
            spearman(map, gradient_of(model, inputs[row], other)).values.item()
            for other in range(3)
            if other != own
        ]
        assert found["spearman"].values[row].item() == pytest.approx(sum(others) / 2, abs=1e-15)
    with pytest.raises(MetricInputError, match=r"draws: expected 1 to 2, .* got 3"):
        random_logit(Gradient, model, inputs, target=0, draws=3)
    with pytest.raises(MetricInputError, match=r"two classes or more, got \(2, 1\)"):
        random_logit(Gradient, nn.Linear(SIZE, 1), inputs.float(), target=0)
