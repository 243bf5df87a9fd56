"""``tsne``: an encoder trained by parametric t-SNE, and the exact loadings of its points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from comparisons.commands.names import known

if TYPE_CHECKING:
    import argparse

    from comparisons.commands.names import Commands

__all__ = ["add"]

PERPLEXITY, NEIGHBOURS = 30.0, 10


def add(commands: Commands) -> None:
    """Declare the command."""
    tsne = commands.add_parser(
        "tsne", help="parametric t-SNE: a map, its neighbours, and each point's exact loadings"
    )
    tsne.add_argument("--data", default="digits", help="digits (default), fashion or mnist")
    tsne.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        metavar="SEED",
        help="of the encoders (default: those of the committed weights, or 0); others are "
        "trained",
    )
    tsne.add_argument(
        "--perplexity",
        type=float,
        default=PERPLEXITY,
        help=f"effective neighbours of a point (default: {PERPLEXITY:g}); with another than "
        "the default the encoders are trained",
    )
    tsne.add_argument(
        "--neighbours",
        type=int,
        default=NEIGHBOURS,
        help=f"that trustworthiness and continuity look at (default: {NEIGHBOURS})",
    )
    tsne.add_argument("--threads", type=int, default=1, help="PyTorch's threads (default: 1)")
    tsne.add_argument("--out", type=Path, help="folder (default: results/tsne-<data>)")
    tsne.set_defaults(command=_tsne)


def _tsne(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from comparisons.embedding import EmbeddingError
    from comparisons.embedding.command import DATA, embed

    (data,) = known([options.data], DATA, "data", parser)
    try:
        embed(
            options.out or Path("results") / f"tsne-{data}",
            data,
            seeds=options.seeds,
            perplexity=options.perplexity,
            neighbours=options.neighbours,
            threads=options.threads,
            console=Console(),
        )
    except EmbeddingError as error:
        parser.error(str(error))
    return 0
