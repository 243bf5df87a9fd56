"""What the site must not forget: a page, a public name, a companion, a paper.

The build itself (``sphinx-build -W -n``) is in ``.ci/run``; this needs no Sphinx.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

import captum_ilin

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DESCRIBED = re.compile(
    r"^\.\. (?:auto(?:class|exception|function)|py:data):: (\w+)$", re.MULTILINE
)
MODULES = re.compile(r"^\.\. automodule:: ([\w.]+)$", re.MULTILINE)
ARXIV = re.compile(r"arxiv[:\s]+(?:abs/)?(\d{4}\.\d{4,5})", re.IGNORECASE)


def extension(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / "extensions" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reference_pages() -> str:
    return "\n".join(page.read_text() for page in sorted((DOCS / "api").glob("*.md")))


def test_the_index_lists_every_page_once() -> None:
    listed = [
        path
        for _, pages in extension("contents").parts((DOCS / "index.md").read_text())
        for _, path in pages
    ]
    files = [*DOCS.glob("*.md"), *DOCS.glob("api/*.md")]
    written = {file.relative_to(DOCS).with_suffix("").as_posix() for file in files}
    assert sorted(listed) == sorted(written - {"index"})


def test_the_contents_follow_headings_and_rows() -> None:
    index = "\n".join(
        [
            "# Name",
            "| [Not in a part](zero.md) | x |",
            "## First",
            "| page | for |",
            "|---|---|",
            "| [A page](one.md) | see [another](two.md) |",
            "| [Below](api/three.md) | x |",
            "## Words only",
            "## Last",
            "| [More](four-five.md) | x |",
        ]
    )
    contents = extension("contents")
    assert contents.parts(index) == [
        ("First", [("A page", "one"), ("Below", "api/three")]),
        ("Last", [("More", "four-five")]),
    ]
    source, other = [index], [index]
    contents.add_contents(None, "index", source)
    contents.add_contents(None, "method", other)
    assert source[0].startswith(index)
    assert "\n```{toctree}\n:hidden:\n:caption: Last\n\nMore <four-five>\n```\n" in source[0]
    assert other == [index]


def test_the_reference_describes_every_public_name_once() -> None:
    described = DESCRIBED.findall(reference_pages())
    assert sorted(described) == sorted(set(captum_ilin.__all__) - {"pictures"})


def test_the_reference_describes_every_package() -> None:
    package = ROOT / "captum_ilin"
    companions = [init.parent.name for init in package.glob("companions/*/__init__.py")]
    expected = {f"captum_ilin.companions.{name}" for name in [*companions, "errors"]}
    described = MODULES.findall(reference_pages())
    assert sorted(described) == sorted(
        {"captum_ilin.metrics", "captum_ilin.pictures"} | expected
    )


def test_the_bibliography_holds_every_paper_cited_by_its_arxiv_number() -> None:
    cited = {
        number
        for folder, pattern in ((DOCS, "*.md"), (ROOT / "captum_ilin", "**/*.py"))
        for file in folder.glob(pattern)
        for number in ARXIV.findall(file.read_text())
    }
    assert len(cited) > 10
    bibliography = (DOCS / "bibliography.bib").read_text()
    held = set(re.findall(r"eprint = \{(\d{4}\.\d{4,5})\}", bibliography))
    assert cited <= held, f"docs/bibliography.bib lacks arXiv {sorted(cited - held)}"
