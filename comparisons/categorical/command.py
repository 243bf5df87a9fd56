"""``python -m comparisons categorical``: networks expanded, measured, drawn and told."""

from __future__ import annotations

import csv
import lzma
from typing import TYPE_CHECKING, Any

from rich.markdown import Markdown
from rich.progress import Progress

from comparisons.categorical import peptides
from comparisons.categorical.figures import save_file_figures, save_peptide_figures
from comparisons.categorical.readings import readings
from comparisons.categorical.statements import of_files, of_peptides
from comparisons.categorical.tables import tables
from comparisons.models.peptides import SEEDS, peptide_net
from comparisons.models.peptides_data import sample
from comparisons.records.jsonlines import JsonLines
from comparisons.records.provenance import provenance
from comparisons.threads import threads_set

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from captum_ilin.companions.categorical import Expansion
    from comparisons.categorical.readings import Readings

__all__ = ["NETWORKS", "compare"]

NETWORKS = ("peptides", "filetype")


def compare(
    folder: Path,
    network: str,
    *,
    seeds: list[int] | None,
    samples: int,
    threads: int,
    console: Console,
) -> None:
    """Expand, measure, draw and write.

    Args:
        folder: where records, tables, figures and the summary go.
        network: one of ``NETWORKS``.
        seeds: of the peptide networks; those of the committed weights unless told.
        samples: of each pair of positions of the peptides.
        threads: PyTorch's.
        console: what it speaks to.

    Raises:
        MissingPackageError: the network is not there.
    """
    records = JsonLines(folder)
    chosen = seeds or list(SEEDS)
    is_sampled = network == peptides.NETWORK
    facts = {"seeds": chosen, "samples": samples} if is_sampled else {}
    records.start(provenance(network=network, **facts))
    with threads_set(threads), Progress(console=console, transient=True) as progress:
        if is_sampled:
            figures = _peptides(records, chosen, samples, progress)
        else:
            figures = _files(records, progress)
    rows = list(records)
    said = of_peptides(rows) if is_sampled else of_files(rows)
    files = _written(folder, rows, said) + figures
    console.print(Markdown(tables(rows)))
    for line in said:
        console.print(f"• {line}", highlight=False)
    for path in files:
        console.print(f"  {path}", highlight=False, soft_wrap=True)


def _peptides(
    records: JsonLines, seeds: list[int], samples: int, progress: Progress
) -> list[Path]:
    """Record every seed under every background; pictures of the first under the last."""
    for seed in seeds:
        records.append(peptides.of_network(seed))
    drawn: Expansion | None = None
    task = progress.add_task("expanding", total=len(seeds) * len(peptides.backgrounds()))
    for background in peptides.backgrounds().values():
        found: dict[int, Expansion] = {}
        read: dict[int, Readings] = {}
        for seed in seeds:
            found[seed] = peptides.expanded(seed, background, samples)
            model = peptide_net(seed).double()
            read[seed] = readings(model, sample().test, background)
            for record in peptides.measured(seed, found[seed], read[seed]):
                records.append(record)
            progress.advance(task)
        for record in peptides.between_seeds(found, read):
            records.append(record)
        drawn = found[seeds[0]]
    records.append(peptides.checked(seeds[0], samples=100))
    assert drawn is not None
    title = f"seed {seeds[0]}, background: {drawn.background.name}"
    return save_peptide_figures(records.folder, drawn, title)


def _files(records: JsonLines, progress: Progress) -> list[Path]:
    from comparisons.categorical import filetype

    found = {}
    task = progress.add_task("expanding", total=len(filetype.FILES))
    for name, content in filetype.FILES.items():
        found[name] = filetype.expanded(content)
        progress.advance(task)
    for record in filetype.measured(found):
        records.append(record)
    return save_file_figures(records.folder, found)


def _written(folder: Path, rows: list[dict[str, Any]], said: list[str]) -> list[Path]:
    """The tables as Markdown, the summary, the records of each kind as CSV and compressed."""
    table, summary = folder / "table.md", folder / "summary.md"
    table.write_text(tables(rows), encoding="utf-8")
    summary.write_text("".join(f"- {line}\n" for line in said), encoding="utf-8")
    written = [table, summary, folder / "records.jsonl.xz"]
    written[-1].write_bytes(lzma.compress((folder / "records.jsonl").read_bytes()))
    for kind in dict.fromkeys(row["kind"] for row in rows):
        written.append(folder / f"{kind}.csv")
        with written[-1].open("w", newline="", encoding="utf-8") as file:
            lines = [row for row in rows if row["kind"] == kind]
            writer = csv.DictWriter(file, lines[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
    return written
