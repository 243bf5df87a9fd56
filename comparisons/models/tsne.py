"""Encoders trained by parametric t-SNE, whose two outputs are a point's place on a map.

``python -m comparisons train --only tsne_digits`` makes the committed weights of the encoders
for digits and the JSON beside them, ``--only tsne_fashion`` those for Fashion-MNIST. The
harness explains both outputs of each example, axis 1 and axis 2, one after the other.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from rich.progress import Progress
from torch import nn

from comparisons.embedding.encoder import Perceptron
from comparisons.embedding.preservation import label_accuracy
from comparisons.embedding.training import Schedule, fit
from comparisons.models.fashion_data import CLASSES, mean_image, sample
from comparisons.models.images import image_baselines, pixel_blocks
from comparisons.models.network import Model, Network
from comparisons.models.trained import WEIGHTS, facts_of, restore, save_facts, save_weights
from comparisons.models.tsne_data import (
    Points,
    digit_points,
    fashion_points,
    mnist_points,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = [
    "DIGITS",
    "ENCODERS",
    "FASHION",
    "MODELS",
    "WEIGHTS",
    "Embedder",
    "restored",
    "train",
    "trained",
]

EXAMPLES = 32  # each explained on both axes
VOTES = 10


@dataclass(frozen=True)
class Embedder:
    """An encoder and what it is trained on.

    Attributes:
        name: of its weights' files, before the seed.
        points: reads what it is trained on.
        build: makes it, untrained.
        schedule: how it is trained.
        seeds: of the committed weights.
        command: what trains it again.
    """

    name: str
    points: Callable[[], Points]
    build: Callable[[], nn.Module]
    schedule: Schedule
    seeds: tuple[int, ...] = ()
    command: str = ""


def _for_images() -> Perceptron:
    """Of 28×28 pixels."""
    return Perceptron(28 * 28, (64, 64))


COMMAND = "python -m comparisons train --only"
DIGITS, FASHION = f"{COMMAND} tsne_digits", f"{COMMAND} tsne_fashion"
IMAGES = Schedule(epochs=200, batch=1000)
ENCODERS = {
    embedder.name: embedder
    for embedder in (
        Embedder(
            "tsne_digits", digit_points, partial(Perceptron, 64), Schedule(), (0, 1, 2), DIGITS
        ),
        Embedder(
            "tsne_digits_gelu",
            digit_points,
            partial(Perceptron, 64, activation=nn.GELU),
            Schedule(),
            (0, 1, 2),
            DIGITS,
        ),
        Embedder("tsne_fashion", fashion_points, _for_images, IMAGES, (0,), FASHION),
        Embedder("tsne_mnist", mnist_points, _for_images, IMAGES),
    )
}


def restored(embedder: Embedder, seed: int) -> nn.Module:
    """The encoder with the committed weights of a seed."""
    encoder = embedder.build()
    restore(encoder, WEIGHTS, f"{embedder.name}_{seed}")
    return encoder


def trained(
    embedder: Embedder,
    points: Tensor,
    schedule: Schedule,
    seed: int,
    tick: Callable[[float], None] = lambda loss: None,
) -> tuple[nn.Module, float]:
    """An encoder trained from a seed, and its KL(P‖Q); the global generator stays as it is."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = embedder.build()
    divergence = fit(encoder, points, schedule, seed=seed, tick=tick)
    return encoder.eval(), divergence


def train(command: str) -> None:
    """Train every encoder of a command, and write weights, seed, accuracy and hash.

    Raises:
        MissingPackageError: the data are not there.
    """
    for embedder in ENCODERS.values():
        if embedder.command == command:
            points = embedder.points()
            for seed in embedder.seeds:
                _train(embedder, points, seed)


def _train(embedder: Embedder, points: Points, seed: int) -> None:
    name, schedule = f"{embedder.name}_{seed}", embedder.schedule
    with Progress(transient=True) as progress:
        task = progress.add_task(name, total=schedule.epochs)
        encoder, divergence = trained(
            embedder, points.train, schedule, seed, lambda loss: progress.advance(task)
        )
    facts = {
        "seed": seed,
        **asdict(schedule),
        "train_points": len(points.train),
        "divergence": round(divergence, 4),
        "test_accuracy": round(_accuracy(encoder, points), 4),
        "votes": f"the {VOTES} nearest training points of the map",
        "sha256": save_weights(encoder, WEIGHTS, name),
        "torch": torch.__version__,
        "command": embedder.command,
    }
    save_facts(facts, WEIGHTS, name)


@torch.no_grad()
def _accuracy(encoder: nn.Module, points: Points) -> float:
    known, asked = encoder(points.train).numpy(), encoder(points.test).numpy()
    labels = points.train_labels.numpy(), points.test_labels.numpy()
    return label_accuracy(known, labels[0], asked, labels[1], VOTES)


def digits(seed: int | None = 0, name: str = "tsne_digits") -> Network:
    """The encoder of a seed with test digits."""
    points = digit_points()
    labels = [points.classes[label] for label in points.test_labels[:EXAMPLES].tolist()]
    mean = points.train.mean(0, keepdim=True)
    return _network(ENCODERS[name], seed, points.test[:EXAMPLES], labels, mean, block=1)


def fashion(seed: int | None = 0) -> Network:
    """The encoder with test images of Fashion-MNIST."""
    images, classes = sample()
    labels = [CLASSES[label] for label in classes[:EXAMPLES].tolist()]
    embedder, mean = ENCODERS["tsne_fashion"], mean_image()
    return _network(embedder, seed, images[:EXAMPLES], labels, mean, block=2)


MODELS = {
    "tsne_digits": Model("tsne_digits", digits, ENCODERS["tsne_digits"].seeds),
    "tsne_digits_gelu": Model(
        "tsne_digits_gelu",
        partial(digits, name="tsne_digits_gelu"),
        ENCODERS["tsne_digits_gelu"].seeds,
    ),
    "tsne_fashion": Model("tsne_fashion", fashion, ENCODERS["tsne_fashion"].seeds),
}


def _network(
    embedder: Embedder,
    seed: int | None,
    images: Tensor,
    labels: list[str],
    mean: Tensor,
    *,
    block: int,
) -> Network:
    encoder, file = embedder.build(), f"{embedder.name}_{seed}"
    weights, facts = restore(encoder, WEIGHTS, file), facts_of(WEIGHTS, file)
    inputs = images.repeat_interleave(2, 0)
    return Network(
        name=embedder.name,
        model=encoder,
        inputs=inputs,
        images=inputs[:, 0].numpy(),
        labels=[f"{label}, axis {axis}" for label in labels for axis in (1, 2)],
        description=_description(encoder, facts),
        weights_hash=weights,
        dataset=embedder.name.split("_")[1],
        seed=seed,
        baselines=image_baselines(inputs, mean),
        feature_mask=pixel_blocks(inputs, block),
        window=(1, 2 * block, 2 * block),
        chosen_targets=torch.arange(2).repeat(len(images)),
    )


def _description(encoder: nn.Module, facts: dict[str, Any]) -> str:
    return (
        f"{type(encoder).__name__} trained here by parametric t-SNE (seed {facts['seed']}) on "
        f"{facts['train_points']:,} images; its outputs are coordinates of a map. Of the "
        f"held-out images {facts['test_accuracy']:.1%} have the label that most of the "
        f"{VOTES} nearest training points have"
    )
