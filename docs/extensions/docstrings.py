"""What in the docstrings is meant otherwise than reStructuredText reads it."""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from sphinx.transforms import SphinxTransform


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this when it loads the extension."""
    app.add_transform(Bars)
    app.connect("autodoc-skip-member", skip_field)
    return {"parallel_read_safe": True}


class Bars(SphinxTransform):
    """|x| is a size, not a substitution to look up."""

    default_priority: ClassVar[int] = 100  # before docutils looks them up, at 220

    def apply(self, **kwargs: Any) -> None:
        for node in list(self.document.findall(nodes.substitution_reference)):
            node.replace_self(nodes.Text(node.rawsource))


def skip_field(
    app: Any, kind: str, name: str, member: object, skip: bool, options: Any
) -> bool | None:
    """Leave out a named tuple's fields; the docstring of its class describes them."""
    return True if type(member).__name__ == "_tuplegetter" else None
