"""``geometry``: angle, norm and margin, before and after pruning and corruptions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from comparisons.commands.names import known

if TYPE_CHECKING:
    import argparse

    from comparisons.commands.names import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Declare the command."""
    geometry = commands.add_parser(
        "geometry", help="margins before and after pruning and corruptions, and their reach"
    )
    geometry.add_argument("--data", default="digits", help="digits (default) or fashion")
    geometry.add_argument(
        "--seeds", nargs="+", type=int, metavar="SEED", help="default: all that are kept, 0 1 2"
    )
    geometry.add_argument(
        "--threads", type=int, default=1, help="PyTorch's threads (default: 1)"
    )
    geometry.add_argument("--out", type=Path, help="folder (default: results/geometry-<data>)")
    geometry.set_defaults(command=_geometry)


def _geometry(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from comparisons.geometry.command import measure_geometry
    from comparisons.geometry.networks import DATA

    (data,) = known([options.data], DATA, "data", parser)
    kept = DATA[data].seeds
    seeds = options.seeds or list(kept)
    if missing := sorted(set(seeds) - set(kept)):
        parser.error(
            f"--seeds takes those whose weights are kept, {', '.join(map(str, kept))}, but got "
            f"{missing[0]}."
        )
    measure_geometry(
        options.out or Path("results") / f"geometry-{data}",
        data,
        seeds=list(dict.fromkeys(seeds)),
        threads=options.threads,
        console=Console(),
    )
    return 0
