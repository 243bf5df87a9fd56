"""``train``: the small networks trained again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from comparisons.commands.names import known

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from comparisons.commands.names import Commands

__all__ = ["add", "trainers"]


def add(commands: Commands) -> None:
    """Declare the command."""
    train = commands.add_parser("train", help="train the small networks again")
    train.add_argument(
        "--only",
        nargs="+",
        metavar="DATA",
        help="digits, fashion_mnist, breast_cancer, tsne_digits, tsne_fashion, "
        "peptides (default: all)",
    )
    train.set_defaults(command=_train)


def _train(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    known_trainers = trainers()
    for name in known(options.only, known_trainers, "data", parser):
        known_trainers[name]()
    return 0


def trainers() -> dict[str, Callable[[], None]]:
    """Data → what trains its networks again."""
    from comparisons.models import digits, fashion_training, peptides, tabular, tsne

    return {
        "digits": digits.train,
        "fashion_mnist": fashion_training.train,
        "breast_cancer": tabular.train,
        "tsne_digits": partial(tsne.train, tsne.DIGITS),
        "tsne_fashion": partial(tsne.train, tsne.FASHION),
        "peptides": peptides.train,
    }
