"""The site's contents, read from the tables of ``index.md``, so that no page is listed twice.

A code host shows a toctree as a block of code. Here each heading of the index names a part of
the site, and the links in the first column of its tables are the pages of that part.
"""

from __future__ import annotations

import re
from typing import Any

PART = re.compile(r"^## (.+)$", re.MULTILINE)
ROW = re.compile(r"^\| \[([^\]]+)\]\(([\w/-]+)\.md\) \|", re.MULTILINE)


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this when it loads the extension."""
    app.connect("source-read", add_contents)
    return {"parallel_read_safe": True}


def add_contents(app: Any, page: str, source: list[str]) -> None:
    """Append a hidden toctree for each part to the source of the index."""
    if page == "index":
        source[0] += "".join(toctree(part, pages) for part, pages in parts(source[0]))


def parts(index: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each heading of the index that has a table of pages, with their names and paths."""
    _, *split = PART.split(index)
    listed = [
        (part, ROW.findall(text)) for part, text in zip(split[::2], split[1::2], strict=True)
    ]
    return [(part, pages) for part, pages in listed if pages]


def toctree(part: str, pages: list[tuple[str, str]]) -> str:
    """The directive that Sphinx reads a part of the contents from."""
    entries = [f"{name} <{path}>" for name, path in pages]
    return "\n".join(
        ["", "```{toctree}", ":hidden:", f":caption: {part}", "", *entries, "```", ""]
    )
