"""``cost``: paired timings and peak memory.

Growth with ``--scaling``, the affine map with ``--map``, MPRT with ``--mprt``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from comparisons.commands.names import known, new_folder

if TYPE_CHECKING:
    import argparse

    from comparisons.commands.names import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Declare the command."""
    cost = commands.add_parser("cost", help="paired timings and peak memory")
    cost.add_argument("--models", nargs="+", metavar="MODEL", help="default: all")
    cost.add_argument("--repeats", type=int, default=11, help="paired repeats (default: 11)")
    cost.add_argument("--size", type=int, default=224, help="image side (default: 224)")
    cost.add_argument("--batch", type=int, default=1, help="rows (default: 1)")
    other = cost.add_mutually_exclusive_group()
    other.add_argument(
        "--scaling",
        action="store_true",
        help="growth with tokens, depth and batch instead, of ILIN and Saliency",
    )
    other.add_argument(
        "--map",
        action="store_true",
        help="the affine map instead: products, all rows, regions and budgets",
    )
    other.add_argument(
        "--mprt",
        action="store_true",
        help="the parameter randomisation test instead, against Quantus",
    )
    cost.add_argument(
        "--threads", type=int, help="PyTorch's threads (default: its own; 1 with --map)"
    )
    cost.add_argument("--out", type=Path, help="folder (default: results/cost-<time>)")
    cost.set_defaults(command=_cost)


def _cost(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if options.scaling:
        return _scaling(options, parser)
    if options.map:
        return _map(options, parser)
    if options.mprt:
        return _mprt()
    from rich.console import Console

    from comparisons.timing.cost import NETWORKS, cost

    cost(
        options.out or new_folder("cost"),
        known(options.models, NETWORKS, "model", parser),
        repeats=options.repeats,
        size=options.size,
        batch=options.batch,
        threads=options.threads,
        console=Console(),
    )
    return 0


def _scaling(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from comparisons.timing.scaling import NETWORKS, scaling

    scaling(
        options.out or new_folder("scaling"),
        known(options.models, NETWORKS, "model", parser),
        repeats=options.repeats,
        threads=options.threads,
        console=Console(),
    )
    return 0


def _map(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from comparisons.timing.mapping import NETWORKS, mapping

    mapping(
        options.out or new_folder("map"),
        known(options.models, NETWORKS, "model", parser),
        repeats=options.repeats,
        threads=options.threads or 1,
        console=Console(),
    )
    return 0


def _mprt() -> int:
    from rich.console import Console

    from comparisons.timing.mprt_benchmark import benchmark

    benchmark(Console())
    return 0
