"""``hint``: what to say to a name that is not known."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["hint"]


def hint(name: str, known: Collection[str], *, most: int = 3) -> str:
    """The known names that are nearest, or all of them.

    >>> hint("salience", ["ILIN", "Saliency"])
    'Did you mean Saliency?'
    """
    near = difflib.get_close_matches(name, list(known), n=most, cutoff=0.4)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"Known: {', '.join(known) or 'none'}."
