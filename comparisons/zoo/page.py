"""docs/zoo.md: the table of the zoo, written from measured figures."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from comparisons.zoo.measure import Exactness, measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from rich.console import Console

    from comparisons.zoo.architecture import Architecture

__all__ = ["listed", "page", "write_page"]

INTRODUCTION = """# The zoo

{count} networks, frozen without a line of code for any of them, by `DEFAULT_RULES` with
`strict=True`: every op has a rule. Weights and biases are random, batch norm calibrated, the
configurations tiny. Inputs are images, sounds or embeddings (of both sides for
encoder-decoders), two random examples each. `python -m comparisons zoo` measures them and
writes this page; `tests/test_zoo.py` asserts value errors ≤ 1e-12 and completeness errors
≤ 1e-10 in float64, and both ≤ 1e-4 in float32.

- *ops*: calls of ops that depend on the input, each frozen.
- *value*: largest |G(x) − F(x)| relative to the largest |F(x)|, float64; 0 where every rule
  gives the op's own bits.
- *⟨W, x⟩ + b*: |⟨W, x⟩ + b − F| / |F| of the predicted class with the ledger's b, which is
  never computed from F; float64, through `captum_ilin.in_double`, for many networks cast to
  float32 inside.
- *float32*: the larger of the certificate's value and completeness errors in float32.
- *\\|b\\|/\\|F\\|*: the bias of the predicted class against its value. 0: no constant enters.
- *unregistered*: ops frozen at their tangent for want of a rule.

Measured with {versions}.
"""
COLUMNS = (
    *("architecture", "ops", "value", "⟨W, x⟩ + b", "float32", "\\|b\\|/\\|F\\|"),
    "unregistered",
)
PACKAGES = ("torch", "torchvision", "timm", "transformers")


def write_page(
    path: Path, architectures: Sequence[Architecture], console: Console
) -> list[Exactness]:
    """Measure every architecture, and write the page."""
    measured = []
    for number, architecture in enumerate(architectures, start=1):
        console.print(f"{number}/{len(architectures)} {architecture.name}", highlight=False)
        measured.append(measure(architecture))
    path.write_text(page(measured), encoding="utf-8")
    return measured


def page(measured: Sequence[Exactness]) -> str:
    """The page of these figures: a table for each library."""
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    parts = [INTRODUCTION.format(count=len(measured), versions=versions)]
    for library in dict.fromkeys(row.library for row in measured):
        rows = [_cells(row) for row in measured if row.library == library]
        rule = ["---"] + ["---:"] * (len(COLUMNS) - 1)
        parts.append(f"## {library}\n\n" + _table([COLUMNS, rule, *rows]))
    return "\n".join(parts)


def listed(text: str) -> list[str]:
    """The names of the architectures in a page's tables, in order."""
    cells = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    names = [cell.removeprefix("| ") for cell in cells]
    return [name for name in names if name not in ("architecture", "---")]


def _cells(row: Exactness) -> list[str]:
    return [
        row.name,
        str(row.ops),
        _error(row.value_error),
        _error(row.output_error),
        _error(row.single_error),
        "0" if row.bias_share == 0 else f"{row.bias_share:.1g}",
        str(row.unregistered),
    ]


def _error(error: float) -> str:
    return "0" if error == 0 else f"{error:.0e}"


def _table(rows: Iterable[Sequence[str]]) -> str:
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def _version(name: str) -> str:
    try:
        return version(name).split("+")[0]
    except PackageNotFoundError:
        return "(absent)"
