"""The coloured text as a picture: tokens, their numbers, the scale, the predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ilin.pictures import token_text
from comparisons.language.statements import statements

if TYPE_CHECKING:
    from pathlib import Path

    from comparisons.language.contributions import TokenContributions

__all__ = ["save_figure"]


def save_figure(found: TokenContributions, path: Path) -> Path:
    """Draw and save a PNG."""
    said = [f"{what} = {much}" for what, much in statements(found)]
    token_text(
        found.tokens,
        found.contributions,
        title=f"Contributions to the {found.question}",
        subtitle=found.model,
        unit=found.unit,
        notes=["    ".join(said[:3]), *said[3:5]],
        predictions=found.predictions,
        save=path,
    )
    return path
