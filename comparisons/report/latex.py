"""The tables as LaTeX, to be pasted into a paper that loads ``booktabs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comparisons.report.captions import caption

if TYPE_CHECKING:
    from comparisons.report.layout import Cell, Heading, Line, Table

__all__ = ["escaped", "latex"]

HEAD = "% \\usepackage{booktabs} in the preamble; nothing else is needed\n"


def latex(tables: list[Table]) -> str:
    """A ``table`` environment for each table."""
    return HEAD + "\n".join(_table(table, number) for number, table in enumerate(tables, 1))


def _table(table: Table, number: int) -> str:
    methods = [_line(line) for line in table.lines if not line.control]
    controls = [_line(line) for line in table.lines if line.control]
    between = ["\\midrule"] if methods and controls else []
    notes = [
        f"\\par\\smallskip\\textsuperscript{{{note}}}\\,{escaped(text)}"
        for note, text in enumerate(table.notes, 1)
    ]
    lines = [
        "\\begin{table}",
        "\\centering\\small",
        f"\\caption{{{escaped(table.title)}. {escaped(caption(table))}}}",
        f"\\label{{tab:comparison-{number}}}",
        f"\\begin{{tabular}}{{l{'r' * len(table.headings)}}}",
        "\\toprule",
        " & ".join(["method", *map(_heading, table.headings)]) + " \\\\",
        "\\midrule",
        *methods,
        *between,
        *controls,
        "\\bottomrule",
        "\\end{tabular}",
        *(["\\par\\raggedright\\footnotesize", *notes] if notes else []),
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _heading(heading: Heading) -> str:
    first = escaped(f"{heading.name} {heading.arrow}".strip())
    details = [f"\\scriptsize {escaped(part)}" for part in heading.detail.split(" · ") if part]
    return _stacked([first, *details])


def _line(line: Line) -> str:
    name = escaped(line.method)
    cells = [f"\\emph{{{name}}}" if line.control else name, *map(_cell, line.cells)]
    return " & ".join(cells) + " \\\\"


def _cell(cell: Cell) -> str:
    value = _signed(cell.text)
    value = f"\\textbf{{{value}}}" if cell.bold else value
    value += "".join(f"\\textsuperscript{{{number}}}" for number in cell.notes)
    small = [f"\\scriptsize {_signed(t)}" for t in (cell.interval, cell.verdict) if t]
    return _stacked([value, *small])


def _signed(text: str) -> str:
    """Numbers with a minus, where a text has a hyphen."""
    return escaped(text.replace("-", "−"))


def _stacked(lines: list[str]) -> str:
    """Braces keep a line that opens with a bracket from being an argument of ``\\\\``."""
    if len(lines) == 1:
        return lines[0]
    return "\\shortstack[r]{" + "\\\\".join(f"{{{line}}}" for line in lines) + "}"


SPECIAL = {
    "\\": "\\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    "…": "\\dots{}",
    "–": "--",
    "—": "---",
    "’": "'",
    "·": "\\textperiodcentered{}",
}
MATHEMATICAL = {
    "↑": "\\uparrow", "↓": "\\downarrow", "→": "\\to", "−": "-", "×": "\\times",
    "∘": "\\circ", "≤": "\\le", "≥": "\\ge", "≫": "\\gg", "∞": "\\infty", "√": "\\surd",
    "∂": "\\partial", "Σ": "\\Sigma", "Δ": "\\Delta", "Φ": "\\Phi", "±": "\\pm",
    "α": "\\alpha", "β": "\\beta", "γ": "\\gamma", "δ": "\\delta", "ε": "\\varepsilon",
    "λ": "\\lambda", "μ": "\\mu", "ρ": "\\rho", "σ": "\\sigma", "τ": "\\tau",
    "φ": "\\varphi", "∈": "\\in", "‖": "\\|", "⟨": "\\langle", "⟩": "\\rangle",
    "′": "'", "²": "^2", "³": "^3", "⁺": "^+", "⁻": "^-", "ᵀ": "^T", "≠": "\\ne",
    "≈": "\\approx", "∫": "\\int", "∇": "\\nabla", "½": "\\frac12",
}  # fmt: skip


def escaped(text: str) -> str:
    """Text as LaTeX prints it; a character it has no command for is named by its number.

    >>> escaped("50 % of W ∘ x_0 ↓")
    '50 \\\\% of W $\\\\circ$ x\\\\_0 $\\\\downarrow$'
    """
    return "".join(_character(character) for character in " ".join(text.split()))


def _character(character: str) -> str:
    if character in SPECIAL:
        return SPECIAL[character]
    if character in MATHEMATICAL:
        return f"${MATHEMATICAL[character]}$"
    return character if character.isascii() else f"\\texttt{{U+{ord(character):04X}}}"
