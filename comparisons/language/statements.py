"""What is said beside the coloured text, the same in terminal, page, figure and table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ilin.pictures import visible

if TYPE_CHECKING:
    from comparisons.language.contributions import TokenContributions

__all__ = ["code", "markdown", "statements"]


def statements(found: TokenContributions) -> list[tuple[str, str]]:
    """(what, how much): the sum, the bias share and the errors."""
    return [
        ("F", f"{found.value:.4f} {found.unit}"),
        ("tokens", f"{float(found.contributions.sum()):+.4f}"),
        ("bias b", f"{found.bias:+.4f}" if found.bias else "0 (no constant enters)"),
        ("|b| / |F|", f"{found.bias_share:.2g}"),
        ("|Σφ + b − F| / |F|", f"{found.completeness_error:.1e}"),
        ("|Σφ − F| / |F|", f"{found.weight_error:.1e}"),
    ]


def markdown(found: TokenContributions) -> str:
    """The contributions, the predictions and the sum as Markdown tables."""
    parts = [
        f"**{found.model}**: contributions to the {found.question}, in {found.unit}\n",
        _table(
            ["token", "contribution"],
            [
                [code(token), f"{value:+.4f}"]
                for token, value in zip(found.tokens, found.contributions.tolist(), strict=True)
            ],
        ),
        _table(
            ["", ""], [[what.replace("|", "\\|"), much] for what, much in statements(found)]
        ),
    ]
    if found.predictions:
        rows = [[code(token), f"{chance:.1%}"] for token, chance in found.predictions]
        parts.append(_table(["next token", "probability"], rows))
    return "\n".join(parts)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", "---:"], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def code(token: str) -> str:
    """A token between quotation marks, its blanks kept."""
    return "`" + f'"{visible(token)}"'.replace("`", "ˋ").replace("|", "\\|") + "`"
