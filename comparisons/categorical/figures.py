"""Heat maps of h, of the couplings' strengths and of the strongest pair's J."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")

from captum_ilin import pictures
from comparisons.models.peptides_data import AMINO_ACIDS, GROUPS
from comparisons.picture import few_colours

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from captum_ilin.companions.categorical import Expansion

__all__ = ["save_file_figures", "save_peptide_figures"]

UNIT = "logit, class gauge"


def save_peptide_figures(folder: Path, found: Expansion, title: str) -> list[Path]:
    """``fields.png`` and ``couplings.png``."""
    fields = pictures.category_grids(
        {"h": found.fields().T},
        rows=AMINO_ACIDS,
        columns=GROUPS.names,
        row_label="residue",
        column_label="position",
        unit=UNIT,
        title=f"What each residue adds: {title}",
    )
    strengths = found.strengths()
    strongest = int(strengths.triu().argmax())
    first, second = divmod(strongest, len(GROUPS))
    couplings = pictures.category_grids(
        {f"J of positions {first + 1} (rows) and {second + 1}": found.coupling(first, second)},
        rows=AMINO_ACIDS,
        columns=AMINO_ACIDS,
        unit=UNIT,
        title=f"The strongest coupling: {title}",
    )
    pairs = pictures.category_grids(
        {"root mean square of J": strengths.clamp(min=0).sqrt()},
        rows=GROUPS.names,
        columns=GROUPS.names,
        row_label="position",
        column_label="position",
        unit=UNIT,
        title=f"How strongly positions are coupled: {title}",
    )
    return [
        _saved(fields, folder / "fields.png"),
        _saved(couplings, folder / "coupling.png"),
        _saved(pairs, folder / "pairs.png"),
    ]


def save_file_figures(folder: Path, found: dict[str, Expansion]) -> list[Path]:
    """``fields.png`` of every file."""
    groups = next(iter(found.values())).groups
    figure = pictures.category_grids(
        {name: expansion.fields().T for name, expansion in found.items()},
        rows=groups.categories[0],
        columns=groups.names,
        row_label="letter",
        column_label="byte",
        unit=UNIT,
        title='What each of the first bytes adds to "pdf"',
    )
    return [_saved(figure, folder / "fields.png")]


def _saved(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    path.write_bytes(few_colours(path))
    return path
