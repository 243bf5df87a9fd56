"""Links that leave ``docs/``: to a file, the site keeps a copy; to a folder, the words stay.

On a code host ``../comparisons/reference/tsne/table.md`` is a page. Here it is not, so a link
to it downloads it, as one to a ``.py`` does in Sphinx. A link to what does not exist stays an
error.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from sphinx import addnodes
from sphinx.transforms import SphinxTransform


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this when it loads the extension."""
    app.add_transform(RepositoryFiles)
    return {"parallel_read_safe": True}


class RepositoryFiles(SphinxTransform):
    """Resolve what MyST took for pages, or for labels, outside the folder of pages."""

    default_priority: ClassVar[int] = 100

    def apply(self, **kwargs: Any) -> None:
        folder = Path(self.env.doc2path(self.env.docname)).parent
        for link in list(self.document.findall(addnodes.pending_xref)):
            target = link["reftarget"]
            if link.get("refdomain") == "doc" and os.path.isabs(target):
                link.replace_self(_download(link, os.path.relpath(f"{target}.md", folder)))
            elif target.startswith("../") and (folder / target).is_dir():
                link.replace_self(link.children)


def _download(link: addnodes.pending_xref, path: str) -> addnodes.download_reference:
    return addnodes.download_reference(
        link.rawsource, "", *link.children, reftarget=path, refdoc=link["refdoc"]
    )
