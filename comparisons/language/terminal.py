"""The coloured text in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from captum_ilin.pictures import shade, visible
from comparisons.language.statements import statements

if TYPE_CHECKING:
    from rich.console import Console

    from comparisons.language.contributions import TokenContributions

__all__ = ["print_text"]

STEPS = 21  # cells of the colour bar


def print_text(found: TokenContributions, console: Console) -> None:
    """The tokens on their colours, the scale, each number, and what they add up to."""
    console.print(Text(f"{found.model}: contributions to the {found.question}", style="bold"))
    console.print()
    console.print(_coloured(found))
    console.print()
    console.print(_scale(found))
    console.print(_numbers(found))
    for what, much in statements(found):
        console.print(f"{what:>20}  {much}", highlight=False)


def _coloured(found: TokenContributions) -> Text:
    text = Text()
    for token, value in zip(found.tokens, found.contributions.tolist(), strict=True):
        text.append(visible(token), style=_style(value, found.largest))
    return text


def _scale(found: TokenContributions) -> Text:
    """A symmetric bar with its two ends and its unit."""
    text = Text(f"{-found.largest:+.2f} ")
    for step in range(STEPS):
        text.append(" ", style=_style(2 * step / (STEPS - 1) - 1, 1.0))
    return text.append(f" {found.largest:+.2f} {found.unit}")


def _numbers(found: TokenContributions) -> Table:
    """Contributions, and beside them the most probable next tokens."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    heads = ["token", "contribution"]
    heads += ["next token", "probability"] if found.predictions else []
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number % 2 else "left")
    predictions = [[Text(f'"{visible(t)}"'), Text(f"{p:.1%}")] for t, p in found.predictions]
    rows = list(zip(found.tokens, found.contributions.tolist(), strict=True))
    for number in range(max(len(rows), len(predictions))):
        left = _row(*rows[number], found.largest) if number < len(rows) else [Text(), Text()]
        right = predictions[number] if number < len(predictions) else []
        table.add_row(*left, *right)
    return table


def _row(token: str, value: float, limit: float) -> list[Text]:
    return [Text(f'"{visible(token)}"'), Text(f"{value:+.4f}", style=_style(value, limit))]


def _style(value: float, limit: float) -> str:
    background, ink = shade(value, limit)
    return f"{ink} on {background}"
