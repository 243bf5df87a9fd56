"""The coloured text as one HTML file that needs nothing else."""

from __future__ import annotations

from html import escape
from string import Template
from typing import TYPE_CHECKING

from captum_ilin.pictures import token_html, visible
from comparisons.language.statements import statements

if TYPE_CHECKING:
    from comparisons.language.contributions import TokenContributions

__all__ = ["html"]

PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
  :root { color-scheme: light; }
  body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff;
         max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.15rem; margin: 0; }
  h2 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
  .model { color: #555; margin: 0 0 1.25rem; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  td { padding: .1rem 1.25rem .1rem 0; } td + td { text-align: right; }
  code { white-space: pre; }
  .note { font-size: .85rem; color: #555; }
</style>
</head>
<body>
<h1>Contributions to the $question</h1>
<p class="model">$model</p>
$text
$predictions
<h2>What they add up to</h2>
<table>$facts</table>
<p class="note">F = Σφ + b exactly: φ is a token's contribution, the sum of W ∘ x over its
embedding; b is what constants bring. Attention patterns, gates and scale statistics are held
at their values for this text: what a token does by steering them is not in its own φ.</p>
</body>
</html>
""")


def html(found: TokenContributions) -> str:
    """The whole page."""
    return PAGE.substitute(
        title=escape(f"{found.model}: {found.question}"),
        model=escape(found.model),
        question=escape(found.question),
        text=token_html(found.tokens, found.contributions, unit=found.unit),
        predictions=_predictions(found),
        facts="".join(_row(escape(what), much) for what, much in statements(found)),
    )


def _predictions(found: TokenContributions) -> str:
    if not found.predictions:
        return ""
    rows = (
        _row(f'<code>"{escape(visible(token))}"</code>', f"{chance:.1%}")
        for token, chance in found.predictions
    )
    return f"<h2>Most probable next tokens</h2>\n<table>{''.join(rows)}</table>"


def _row(what: str, much: str) -> str:
    return f"<tr><td>{what}</td><td>{much}</td></tr>"
