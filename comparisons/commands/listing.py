"""``list``: everything that has a name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from rich.console import Console

    from comparisons.commands.names import Commands
    from comparisons.measures.measure import Measure

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Declare the command."""
    listing = commands.add_parser("list", help="suites, models, methods and measures")
    listing.set_defaults(command=_list)


def _list(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from comparisons.harness.registry import registered
    from comparisons.harness.suitefile import load_suite, suite_names
    from comparisons.language.command import LANGUAGE_MODELS
    from comparisons.timing.cost import NETWORKS

    known, console = registered(), Console()
    _print(console, "Suites", {name: load_suite(name, known).about for name in suite_names()})
    _print(
        console, "Models", {name: _seeds(model.seeds) for name, model in known.models.items()}
    )
    _print(console, "Methods", {name: method.about for name, method in known.methods.items()})
    _print(console, "Measures", {name: _said(each) for name, each in known.measures.items()})
    _print(console, "Models of cost", dict.fromkeys(NETWORKS, ""))
    _print(console, "Models of language", dict.fromkeys(LANGUAGE_MODELS, ""))
    return 0


def _seeds(seeds: tuple[int | None, ...]) -> str:
    trained = [str(seed) for seed in seeds if seed is not None]
    return f"training seeds {', '.join(trained)}" if trained else "one network"


def _said(measure: Measure) -> str:
    """The definition and, as a suite would set them, the parameters with their defaults."""
    given = [
        f"{key}={json.dumps(value, separators=(',', ':'))}"
        for key, value in measure.defaults.items()
    ]
    return f"{measure.formula}\n{', '.join(given)}".rstrip()


def _print(console: Console, title: str, lines: Mapping[str, str]) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for name, about in lines.items():
        table.add_row(Text(name, no_wrap=True), Text(about))
    console.print(f"[bold]{title}[/]")
    console.print(Padding(table, (0, 0, 1, 2)))
