"""What is said with tables: how their cells are to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comparisons.report.aggregate import INTERVAL

if TYPE_CHECKING:
    from comparisons.report.layout import Table

__all__ = ["READING", "caption", "short_caption"]

ESTIMATE = (
    "{statistic} with its 95 % interval over model seeds and examples; {sample} unless a note "
    "says otherwise."
)
SANITY = (
    "A sanity check, not a ranking: how alike the maps of the trained and the randomised "
    "network are, and the band that two networks with nothing trained give. Inside: like "
    "chance; above: something is left that chance does not give; below: less alike than chance "
    "gives; undecided: the interval reaches over the band's end; no null: none was measured; "
    "blind: any two networks give the same map."
)
RANKS = (
    "Mean rank over the examples (1 is best), averaged over {sample}; in brackets the least "
    "and the greatest model's. Bold: best or tied with the best on every model."
)
NEITHER = "Neither way is better: nothing is bold."
BOLD = {
    False: "Bold: the best and all that the signed-rank test does not tell from it (Holm over "
    "the family's pairs and columns, p ≥ .05); in a column of too few examples for it, all "
    "whose paired differences have a 95 % interval that holds 0.",
    True: "Bold: the best and all whose paired differences from it have a 95 % interval that "
    "holds 0, uncorrected: with so few examples the signed-rank test after Holm could tell "
    "nothing apart.",
}
READING = (
    "**How to read the tables.** Each cell is a mean over model seeds and examples, a median "
    "where the heading says so (costs, stabilities and ratios over the output, whose tails are "
    "long), with a 95 % interval from a crossed "
    "hierarchical bootstrap; the arrow says which way is better. Bold is the best method and "
    "every one tied with it; the rule stands under each table. Controls, in italics, are "
    "reference rows and no candidates. Outputs explained are logits."
)


def caption(table: Table) -> str:
    """All of it, for a table that stands alone."""
    if table.is_ranks:
        return RANKS.format(sample=table.sample)
    estimate = ESTIMATE.format(statistic=_statistic(table), sample=table.sample)
    return f"{estimate} {_rule(table)}"


def short_caption(table: Table) -> str:
    """For a table below `READING`."""
    if table.is_ranks:
        return RANKS.format(sample=table.sample)
    return f"{_statistic(table)}; {table.sample} unless a note says otherwise. {_rule(table)}"


def _statistic(table: Table) -> str:
    medians = [heading.label for heading in table.headings if heading.median]
    if not medians:
        return "Mean"
    if len(medians) == len(table.headings):
        return "Median"
    return f"Mean (median: {', '.join(medians)})"


def _rule(table: Table) -> str:
    if table.is_sanity:
        return SANITY
    if not any(heading.arrow for heading in table.headings):
        return NEITHER
    return BOLD[table.tie_rule == INTERVAL]
