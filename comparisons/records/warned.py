"""What methods warned of in a run: ``warnings-<rank>.jsonl``, each text once for an example."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Warned", "append_warned", "read_warned"]


class Warned(NamedTuple):
    """A warning while an attribution or a measure of it was computed."""

    model: str
    model_seed: int | None
    method: str
    sample: int
    text: str


def append_warned(path: Path, found: Iterable[Warned]) -> None:
    """Write each on a line of its own; no file is made for none."""
    lines = "".join(json.dumps(one) + "\n" for one in found)
    if lines:
        with path.open("a", encoding="utf-8") as file:
            file.write(lines)


def read_warned(folder: Path) -> list[tuple[str, str, str, int]]:
    """(model, method, text, examples that it was said of), in order.

    An example counts once for each training seed, however often a run was interrupted.
    """
    lines = [
        line
        for path in folder.glob("warnings-*.jsonl")
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    found = {one for line in lines if (one := _warned(line)) is not None}
    counts = Counter((one.model, one.method, one.text) for one in found)
    return [(*key, counts[key]) for key in sorted(counts)]


def _warned(line: str) -> Warned | None:
    """None for a line that was cut off."""
    try:
        return Warned(*json.loads(line))
    except (ValueError, TypeError):
        return None
