"""``representer``: representer points on flipped labels, beside Captum's influence methods."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from comparisons.commands.names import known

if TYPE_CHECKING:
    import argparse

    from comparisons.commands.names import Commands

__all__ = ["add"]

SEEDS, FLIPPED, EPOCHS = [0, 1, 2], [0.1, 0.2, 0.3, 0.4], [5, 20]


def add(commands: Commands) -> None:
    """Declare the command."""
    representer = commands.add_parser(
        "representer", help="votes of training examples: flipped labels found, and pixels"
    )
    representer.add_argument(
        "--data", default="digits", help="digits (default), fashion or mnist"
    )
    representer.add_argument(
        "--seeds", nargs="+", type=int, default=SEEDS, metavar="SEED", help="default: 0 1 2"
    )
    representer.add_argument(
        "--flipped",
        nargs="+",
        type=float,
        default=FLIPPED,
        metavar="SHARE",
        help="shares of the labels that are made wrong (default: 0.1 0.2 0.3 0.4)",
    )
    representer.add_argument(
        "--epochs",
        nargs="+",
        type=int,
        default=EPOCHS,
        help="after which a network is looked at (default: 5 20)",
    )
    representer.add_argument(
        "--threads", type=int, default=1, help="PyTorch's threads (default: 1)"
    )
    representer.add_argument(
        "--out", type=Path, help="folder (default: results/representer-<data>)"
    )
    representer.set_defaults(command=_representer)


def _representer(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    _check(options, parser)
    from rich.console import Console

    from comparisons.representer.command import DATA, represent

    (data,) = known([options.data], DATA, "data", parser)
    represent(
        options.out or Path("results") / f"representer-{data}",
        data,
        seeds=options.seeds,
        flipped=options.flipped,
        epochs=options.epochs,
        threads=options.threads,
        console=Console(),
    )
    return 0


def _check(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    for share in options.flipped:
        if not 0 < share < 1:
            parser.error(
                f"--flipped takes shares of the labels, above 0 and below 1, but got {share:g}."
            )
    for count in options.epochs:
        if count < 1:
            parser.error(f"--epochs takes numbers from 1, but got {count}.")
