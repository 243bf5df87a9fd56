"""``categorical``: networks of categorical inputs as a sum over positions and pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from comparisons.commands.names import known

if TYPE_CHECKING:
    import argparse

    from comparisons.commands.names import Commands

__all__ = ["add"]

SAMPLES = 300


def add(commands: Commands) -> None:
    """Declare the command."""
    categorical = commands.add_parser(
        "categorical",
        help="networks of categorical inputs: what each position adds, and each pair",
    )
    categorical.add_argument(
        "--network",
        default="peptides",
        help="peptides (default), or filetype: Magika, which needs its package",
    )
    categorical.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        metavar="SEED",
        help="of the peptide networks (default: 0 1 2)",
    )
    categorical.add_argument(
        "--samples",
        type=int,
        default=SAMPLES,
        help=f"of each pair of positions of the peptides (default: {SAMPLES})",
    )
    categorical.add_argument(
        "--threads", type=int, default=1, help="PyTorch's threads (default: 1)"
    )
    categorical.add_argument(
        "--out", type=Path, help="folder (default: results/categorical-<network>)"
    )
    categorical.set_defaults(command=_categorical)


def _categorical(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from captum_ilin.companions.errors import CompanionInputError
    from comparisons.categorical.command import NETWORKS, compare
    from comparisons.models.peptides import SEEDS

    (network,) = known([options.network], NETWORKS, "network", parser)
    if missing := set(options.seeds or ()) - set(SEEDS):
        parser.error(
            f"There are peptide networks of the seeds {', '.join(map(str, SEEDS))}, but not of "
            f"{min(missing)}."
        )
    try:
        compare(
            options.out or Path("results") / f"categorical-{network}",
            network,
            seeds=options.seeds,
            samples=options.samples,
            threads=options.threads,
            console=Console(),
        )
    except CompanionInputError as error:
        parser.error(str(error))
    return 0
