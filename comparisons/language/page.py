"""The coloured text as one HTML file that needs nothing else."""

from __future__ import annotations

from html import escape
from string import Template
from typing import TYPE_CHECKING

from comparisons.colours import shade
from comparisons.language.statements import statements
from comparisons.language.tokens import visible

if TYPE_CHECKING:
    from comparisons.language.contributions import TokenContributions

__all__ = ["html"]

STEPS = 20  # stops of the colour bar

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
  .text { display: flex; flex-wrap: wrap; row-gap: .5rem; }
  .token { display: inline-flex; flex-direction: column; align-items: center; }
  .token b { font: 1.15rem/1.9 ui-monospace, monospace; white-space: pre; width: 100%;
             text-align: center; padding: 0 .1rem; box-sizing: border-box; }
  .token small { font-size: .72rem; color: #444; padding: 0 .3rem;
                 font-variant-numeric: tabular-nums; }
  .scale { margin-top: 1.25rem; max-width: 24rem; }
  .bar { height: .8rem; border: 1px solid #999; background: $gradient; }
  .ends { display: flex; justify-content: space-between; font-size: .8rem; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  td { padding: .1rem 1.25rem .1rem 0; } td + td { text-align: right; }
  code { white-space: pre; }
  .note { font-size: .85rem; color: #555; }
</style>
</head>
<body>
<h1>Contributions to the $question</h1>
<p class="model">$model</p>
<div class="text">$text</div>
<div class="scale" role="img" aria-label="colour scale">
<div class="bar"></div>
<div class="ends"><span>−$limit</span><span>0</span><span>+$limit</span></div>
<div class="ends"><span>against</span><span>$unit</span><span>for</span></div>
</div>
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
        text="".join(
            _token(token, value, found.largest)
            for token, value in zip(found.tokens, found.contributions.tolist(), strict=True)
        ),
        gradient=_gradient(),
        limit=f"{found.largest:.2f}",
        unit=escape(found.unit),
        predictions=_predictions(found),
        facts="".join(_row(escape(what), much) for what, much in statements(found)),
    )


def _token(token: str, value: float, limit: float) -> str:
    background, ink = shade(value, limit)
    return (
        f'<span class="token"><b style="background:{background};color:{ink}">'
        f"{escape(visible(token))}</b><small>{value:+.2f}</small></span>"
    )


def _gradient() -> str:
    stops = (shade(2 * step / STEPS - 1, 1.0).background for step in range(STEPS + 1))
    return f"linear-gradient(to right, {', '.join(stops)})"


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
