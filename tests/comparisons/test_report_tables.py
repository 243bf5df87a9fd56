"""The report's tables: one frame, cells that tell what is missing, ties, escapes, order."""

from __future__ import annotations

import io
import math
import random
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

pytest.importorskip("pandas", reason="the comparisons' extra is not installed")
pytest.importorskip("matplotlib", reason="the comparisons' extra is not installed")
pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")

from comparisons.measures import MEASURES, axiomatic
from comparisons.report.aggregate import INTERVAL, SIGNED_RANK, Analysis, analysed
from comparisons.report.captions import caption, short_caption
from comparisons.report.columns import Column, nameless
from comparisons.report.figures.curves import by_method, coinciding
from comparisons.report.frame import curves, frame_of
from comparisons.report.gaps import missing
from comparisons.report.latex import escaped, latex
from comparisons.report.layout import WIDE, Cell, Heading, Table, laid_out
from comparisons.report.markdown import markdown
from comparisons.report.summary import Statement
from comparisons.report.terminal import show
from tests.comparisons import synthetic

if TYPE_CHECKING:
    from pathlib import Path

    from comparisons.records import Row


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, measure in synthetic.MEASURES.items():
        monkeypatch.setitem(MEASURES, name, measure)


def _analysis(rows: list[Row] | None = None) -> Analysis:
    return analysed(frame_of(rows)) if rows else _whole()


@cache
def _whole() -> Analysis:
    return analysed(frame_of(synthetic.rows()))


def _table(tables: list[Table], model: str, family: str) -> Table:
    return next(t for t in tables if (t.model, t.family) == (model, family))


def _cells(table: Table, method: str) -> list[Cell]:
    return next(line.cells for line in table.lines if line.method == method)


def test_a_cell_is_the_mean_over_seeds_and_examples() -> None:
    rows = synthetic.rows()
    line = (
        _analysis(rows)
        .table.query(
            "model == 'digits_cnn' and method == 'IG-50' and metric == 'completeness' "
            "and quantity == 'declared'"
        )
        .iloc[0]
    )
    values = [
        row.value
        for row in rows
        if (row.model, row.method, row.metric, row.quantity)
        == ("digits_cnn", "IG-50", "completeness", "declared")
    ]
    assert line["value"] == pytest.approx(sum(v for v in values if v) / len(values))
    assert (line["n"], line["seeds"], line["examples"]) == (24, 3, 8)
    assert line["low"] < line["value"] < line["high"]


def test_medians_are_of_the_quantities_that_their_measure_names_and_say_so() -> None:
    found = _analysis()
    statistics = dict(zip(found.table["metric"], found.table["statistic"], strict=True))
    medians = found.table[found.table["statistic"] == "median"]["metric"].unique()
    assert set(medians) == {"output_stability", "cost"}, statistics
    text = markdown(laid_out(found.table))
    assert "output_stability ↓: median" in text
    assert "\n\nMedian; n = 24" in text


@pytest.mark.parametrize(
    ("metric", "quantity", "statistic"),
    [
        ("bias_share", "", "median"),
        ("relative_output_stability", "", "median"),
        ("max_sensitivity", "", "mean"),
        ("nobody's", "", "mean"),
    ],
)
def test_ratios_over_the_output_and_stabilities_are_medians(
    metric: str, quantity: str, statistic: str
) -> None:
    assert Column(metric, "", quantity).statistic == statistic
    assert axiomatic.MEASURES["completeness"].medians == ("declared_relative",)


def test_a_caption_names_the_medians_among_means() -> None:
    columns = [Heading("one", label="one (a)", median=True), Heading("two", label="two")]
    table = Table("model", "axiomatic", "", columns, [], "", "n = 3")
    assert short_caption(table).startswith("Mean (median: one (a)); n = 3 unless")
    assert caption(table).startswith("Mean (median: one (a)) with its 95 % interval")


def test_a_failed_method_stands_in_the_table_with_its_error() -> None:
    tables = laid_out(_analysis().table)
    faithfulness = _table(tables, "digits_vit", "faithfulness")
    cells = _cells(faithfulness, "LRP")
    assert [cell.text for cell in cells] == ["failed"] * 4
    (number,) = cells[0].notes
    assert faithfulness.notes[number - 1] == "RuntimeError: no rule for 50% of {LayerNorm}_"


def test_missing_values_are_counted_with_their_reason() -> None:
    tables = laid_out(_analysis().table)
    sums = _table(tables, "digits_cnn", "axiomatic")
    assert [cell.text for cell in _cells(sums, "Saliency")] == ["–", "–"]
    assert sums.notes == ["the method claims no sum"]
    pointing = _table(tables, "digits_cnn", "localisation")
    assert pointing.sample == "n = 21 (3 model seeds, 7 examples)"
    assert pointing.notes == ["NaN 3: no evidence is known for this example"]


def test_a_name_that_is_not_registered_is_reported_without_a_direction() -> None:
    tables = laid_out(_analysis().table)
    table = _table(tables, "digits_cnn", "not registered")
    assert [line.method for line in table.lines] == ["Mine"]
    assert (table.headings[0].name, table.headings[0].arrow) == ("my metric", "")
    assert not _cells(table, "Mine")[0].bold


def test_a_cell_that_failed_is_missing_from_every_column_of_its_metric() -> None:
    row = next(row for row in synthetic.rows() if row.metric == "insertion" and row.value)
    one = replace(row, metric="infidelity", quantity="", value=1.0, part=0, parts=2)
    other = replace(one, quantity="normalised", part=1)
    said = "RuntimeError: no hooks"
    failed = replace(one, method="LRP", value=None, reason=said, failed=True, parts=1)
    table = _analysis([one, other, failed]).table
    lacking = table[table["method"] == "LRP"]
    assert sorted(lacking["quantity"]) == ["", "normalised"]
    assert set(lacking["reason"]) == {said}


def test_values_that_are_rounding_of_zero_are_tied(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        replace(row, value=3 * row.value)
        if row.quantity == "declared" and row.method == "Mine" and row.value
        else row
        for row in synthetic.rows(("digits_vit",))
    ]

    def tied() -> set[str]:
        table = _analysis(rows).table
        return set(table[table["tied"] & (table["quantity"] == "declared")]["method"])

    assert tied() == {"ILIN", "InputXGradient"}  # off by some 1e-7; Mine by some 3e-7
    known = replace(MEASURES["completeness"], rounding={"declared": 1e-5})
    monkeypatch.setitem(MEASURES, "completeness", known)
    assert tied() == {"ILIN", "InputXGradient", "Mine"}


def test_ties_with_few_examples_go_by_intervals_and_equal_methods_are_tied() -> None:
    table = _analysis().table.query("model == 'digits_cnn' and metric == 'insertion'")
    assert set(table["tie_rule"]) == {INTERVAL}
    bold = table[table["tied"]].groupby("variant")["method"].agg(sorted).tolist()
    assert bold == [["ILIN", "InputXGradient"]] * 2


def test_a_method_that_the_test_prefers_to_the_best_mean_is_not_behind() -> None:
    row = next(row for row in synthetic.rows() if row.metric == "pointing_game")
    one = replace(row, part=0, parts=1, reason=None, model_seed=0)
    rows = [
        replace(one, method=method, sample=sample, value=value)
        for sample in range(20)
        for method, value in (
            ("ILIN", 50.0 if sample == 0 else 1.0),  # the best mean, by one example
            ("IG-50", 2.0 + sample / 100),
            ("Saliency", 0.5),
        )
    ]
    table = _analysis(rows).table.query(f"model == '{one.model}'")
    assert set(table["tie_rule"]) == {SIGNED_RANK}
    assert set(table[table["best"]]["method"]) == {"ILIN"}
    assert set(table[table["tied"]]["method"]) == {"ILIN", "IG-50"}


def test_ties_with_many_examples_go_by_the_signed_rank_test() -> None:
    rows = synthetic.rows(("digits_cnn",), seeds=2, examples=20)
    found = _analysis(rows)
    table = found.table.query("model == 'digits_cnn' and metric == 'insertion'")
    assert set(table["tie_rule"]) == {SIGNED_RANK}
    assert set(table[table["tied"]]["method"]) == {"ILIN", "InputXGradient"}
    same = found.pairs.query("first == 'ILIN' and second == 'InputXGradient'")
    assert set(same.query("family == 'faithfulness'")["reason"]) == {"no example differs"}
    assert (same.query("family == 'faithfulness'")["p_holm"] == 1).all()


def test_a_column_of_one_example_is_not_tied_for_want_of_pairs() -> None:
    rows = [
        replace(row, value=1.0 + (row.method == "LRP"))
        if row.metric == "cost" and row.sample == 0
        else replace(row, value=None, reason="the first only")
        if row.metric == "cost"
        else row
        for row in synthetic.rows(("digits_cnn",), seeds=2, examples=30)
    ]
    table = _analysis(rows).table.query("model == 'digits_cnn' and metric == 'cost'")
    assert set(table["tie_rule"]) == {INTERVAL}
    assert not table[table["method"] == "LRP"]["tied"].any()
    assert table[table["method"] == "ILIN"]["tied"].all()


def test_controls_stand_apart_and_are_never_best() -> None:
    found = _analysis()
    assert not found.table[found.table["control"].astype(bool)]["tied"].any()
    table = _table(laid_out(found.table), "digits_cnn", "faithfulness")
    assert [line.method for line in table.lines if line.control] == ["random"]
    assert table.lines[-1].method == "random"


def test_descriptive_columns_and_sanity_checks_have_no_best() -> None:
    table = _analysis().table
    assert not table[table["family"].isin(["complexity", "randomisation"])]["tied"].any()
    assert set(table[table["family"] == "randomisation"]["verdict"]) <= {
        "inside", "above", "below", "undecided",
    }  # fmt: skip


def test_holm_counts_every_pair_and_column_of_a_table() -> None:
    pairs = _analysis().pairs
    part = pairs.query("model == 'digits_cnn' and family == 'faithfulness'")
    assert set(part["family_size"]) == {8 * 7 // 2 * 4}
    least = part["p"].min()
    assert part["p_holm"].min() == pytest.approx(min(1.0, least * 112))


def test_wide_families_are_divided() -> None:
    rows = [
        replace(row, variant=f"baseline={number}")
        for number in range(10)
        for row in synthetic.rows(("digits_cnn",), ("ILIN", "LRP"), seeds=1)
        if row.metric == "gini"
    ]
    tables = laid_out(_analysis(rows).table)
    assert [table.part for table in tables] == ["1 of 2", "2 of 2"]
    assert all(len(table.headings) == 5 <= WIDE for table in tables)


def test_overall_tables_hold_mean_ranks() -> None:
    table = _analysis().table.query("model == 'all models' and metric == 'cost'")
    assert set(table["statistic"]) == {"mean rank"}
    assert (table["note"].str.match(r"best or tied on \d of 2")).all()


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = synthetic.rows(seeds=2, examples=3)
    shuffled = rows.copy()
    random.Random(0).shuffle(shuffled)
    first, second = (markdown(laid_out(_analysis(r).table)) for r in (rows, shuffled))
    assert first == second


def test_latex_escapes_everything_special() -> None:
    special = "50% of {LayerNorm}_ & #1 $x$ ~ ^ \\ W∘x ↓ 漢"
    assert escaped(special) == (
        r"50\% of \{LayerNorm\}\_ \& \#1 \$x\$ \textasciitilde{} \textasciicircum{} "
        r"\textbackslash{} W$\circ$x $\downarrow$ \texttt{U+6F22}"
    )


def test_latex_tables_are_whole() -> None:
    text = latex(laid_out(_analysis().table))
    assert text.isascii()
    assert text.count("\\begin{table}") == text.count("\\end{table}") > 10
    bare = re.sub(r"\\[{}]", "", text.replace("\\\\", ""))
    assert bare.count("{") == bare.count("}")
    for tabular in re.findall(r"\\begin\{tabular\}\{l(r+)\}(.*?)\\end\{tabular\}", text, re.S):
        rules = [tabular[1].count(f"\\{rule}") for rule in ("toprule", "bottomrule")]
        assert rules == [1, 1]
        lines = [line for line in tabular[1].splitlines() if line.endswith(" \\\\")]
        cells = {len(re.findall(r"(?<!\\)&", line)) for line in lines}
        assert cells == {len(tabular[0])}
    assert "\\textbf{0.624}" in text
    assert "e$-$" in text  # a minus, where "-" would be a hyphen
    assert not re.search(r"[{\[ e]-\d", text)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX is installed")
def test_latex_tables_compile(tmp_path: Path) -> None:
    body = latex(laid_out(_analysis().table))
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\extrafloats{100}\n"
        f"\\begin{{document}}\n{body}\\end{{document}}\n"
    )
    subprocess.run(
        ["pdflatex", "-halt-on-error", "paper.tex"], cwd=tmp_path, check=True, timeout=120
    )


def test_one_seed_one_example_is_reported_without_intervals() -> None:
    rows = synthetic.rows(("digits_cnn",), ("ILIN", "LRP"), seeds=1, examples=2)
    one = [row for row in rows if row.sample == 1]
    found = _analysis(one)
    assert found.table["low"].dropna().empty or not math.isnan(found.table["value"].iloc[0])
    text = markdown(laid_out(found.table))
    assert "n = 1 (1 model seed, 1 example" in text


def test_reasons_that_name_their_method_share_a_note() -> None:
    rows = [
        replace(row, value=None, reason=f"{row.method} has no map")
        for row in synthetic.rows(("digits_cnn",), ("ILIN", "LRP", "Mine"), seeds=1)
        if row.metric == "gini"
    ]
    (table,) = laid_out(_analysis(rows).table)
    assert table.notes == ["the method has no map"]


def test_missing_values_whose_reasons_differ_in_numbers_are_told_once() -> None:
    rows = [
        replace(row, value=None, reason=f"the same for every subset of {row.sample} features")
        for row in synthetic.rows(("digits_cnn",))
        if (row.method, row.metric) == ("constant", "gini") or row.method == "LRP"
    ]
    lines = [line for line in missing(frame_of(rows)) if line.startswith("gini")]
    assert lines == ["gini, 24 rows of LRP: the same for every subset of … features"]


def test_a_control_with_a_common_name_keeps_the_word_in_its_reasons() -> None:
    assert nameless("the map is constant", "constant") == "the map is constant"
    assert nameless("LRP claims no sum", "LRP") == "the method claims no sum"
    assert nameless("constant claims no sum", "constant") == "the method claims no sum"


def test_curves_that_are_the_same_share_a_line() -> None:
    rows = synthetic.rows(("digits_cnn",), seeds=1)
    kept = [row for row in rows if row.method in ("ILIN", "IG-10", "random")]
    twins = [
        replace(row, method="LRP", value=row.value and row.value * (1 + 1e-6))
        for row in kept
        if row.method == "ILIN"
    ]
    groups = coinciding(by_method(curves(frame_of([*kept, *twins]))))
    assert groups["ILIN"] == ["ILIN", "LRP"]
    assert groups["IG-10"] == ["IG-10"]
    assert groups["random"] == ["random"]


def test_the_terminal_counts_best_and_tied_columns() -> None:
    stream = io.StringIO()
    show(
        laid_out(_analysis().table),
        [Statement("What failed", ["x " * 200])],
        Console(file=stream, width=100),
    )
    said = stream.getvalue()
    assert re.search(r"ILIN +\d of 8 +\d of 8", said), said
    assert "… (summary.md)" in said
    assert "random" not in said


def test_the_terminal_draws_no_empty_table() -> None:
    rows = [row for row in synthetic.rows(seeds=1) if row.metric == "mprt"]
    stream = io.StringIO()
    show(laid_out(_analysis(rows).table), [], Console(file=stream, width=100))
    assert stream.getvalue() == ""


def test_a_method_that_ignores_the_weights_is_blind_not_sane() -> None:
    rows = [
        replace(row, value=1.0) if row.method == "Mine" else row
        for row in synthetic.rows(("digits_cnn",), ("ILIN", "Mine"), seeds=2)
        if row.metric == "mprt"
    ]
    verdicts = _analysis(rows).table.set_index("method")["verdict"]
    assert verdicts["Mine"] == "blind"
