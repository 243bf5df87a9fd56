"""``python -m comparisons language``: a prompt in, coloured text out."""

from __future__ import annotations

import json
import re
from time import process_time
from typing import TYPE_CHECKING, Any

from rich.markdown import Markdown

from comparisons.language.directions import directions, directions_table
from comparisons.language.figure import save_figure
from comparisons.language.next_token import next_token
from comparisons.language.page import html
from comparisons.language.similarity import similarity
from comparisons.language.statements import markdown
from comparisons.language.terminal import print_text
from comparisons.language.tokens import PromptError, check_not_blank
from comparisons.models.language import minilm, smollm2
from comparisons.models.network import hash_of
from comparisons.records.provenance import provenance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

    from comparisons.language.contributions import TokenContributions
    from comparisons.models.language import LanguageModel

__all__ = ["LANGUAGE_MODELS", "explain", "explain_directions"]

LANGUAGE_MODELS: dict[str, Callable[[], LanguageModel]] = {
    "smollm2": smollm2,
    "minilm": minilm,
}


def explain(
    folder: Path,
    model: str,
    prompt: str,
    *,
    target: str | None,
    against: str | None,
    console: Console,
) -> list[Path]:
    """Explain, print, and write a page, a picture, a table and a record.

    Args:
        folder: where the files go; made if need be.
        model: one of ``LANGUAGE_MODELS``. "minilm" compares sentences, so it needs a target.
        prompt, target, against: see `next_token` and `similarity`.
        console: where the text is printed.

    Returns:
        The files.

    Raises:
        PromptError: a text cannot be explained.
        MissingPackageError: the model's package is not installed.
    """
    _check(model, prompt, target)
    language = _read(model, console)
    if model == "minilm":
        found = similarity(language, prompt, target=str(target), against=against)
    else:
        found = next_token(language, prompt, target=target, against=against)
    print_text(found, console)
    folder.mkdir(parents=True, exist_ok=True)
    facts = _record(found, hash_of(language.model.state_dict()))
    return _written(found, facts, folder / _name(model, prompt, target, against))


def explain_directions(
    folder: Path, model: str, prompt: str, *, count: int, console: Console
) -> list[Path]:
    """The singular directions of each token: printed, and written as a table and a record.

    Args:
        folder, model, prompt, console: as of ``explain``; the model is one of next tokens.
        count: how many directions of each token.

    Returns:
        The files.

    Raises:
        PromptError: the text cannot be explained, or the model has no next token.
        RankError: a token's block has no so many directions.
        MissingPackageError: the model's package is not installed.
    """
    check_not_blank(prompt, "prompt")
    if model == "minilm":
        raise PromptError("minilm has no next token. Leave out --directions, or --model.")
    language = _read(model, console)
    started = process_time()
    with console.status("Decomposing each token's block"):
        found = directions(language, prompt, count=count)
    seconds = process_time() - started
    console.print(Markdown(directions_table(found)))
    console.print(f"{seconds:.1f} seconds of processor time", highlight=False)
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / _name(model, prompt, "directions")
    table, record = stem.with_suffix(".md"), stem.with_suffix(".json")
    table.write_text(directions_table(found), encoding="utf-8")
    facts = {
        **provenance(dtype="float64", model=found.model, prompt=prompt),
        "weights_sha256": hash_of(language.model.state_dict()),
        "processor_seconds": seconds,
        "directions": [each._asdict() for each in found.directions],
    }
    record.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return [table, record]


def _read(model: str, console: Console) -> LanguageModel:
    with console.status(f"Reading {model}"):
        language = LANGUAGE_MODELS[model]()
        language.model.double()
    return language


def _check(model: str, prompt: str, target: str | None) -> None:
    """What can be said before half a minute of reading."""
    check_not_blank(prompt, "prompt")
    if model == "minilm" and target is None:
        raise PromptError(
            "minilm compares the prompt with another sentence. Give one: "
            '--target "Someone eats a meal."'
        )


def _written(found: TokenContributions, facts: dict[str, Any], stem: Path) -> list[Path]:
    page, table = stem.with_suffix(".html"), stem.with_suffix(".md")
    record = stem.with_suffix(".json")
    page.write_text(html(found), encoding="utf-8")
    table.write_text(markdown(found), encoding="utf-8")
    record.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return [page, save_figure(found, stem.with_suffix(".png")), table, record]


def _record(found: TokenContributions, weights_hash: str) -> dict[str, Any]:
    return {
        **provenance(dtype="float64", model=found.model, question=found.question),
        "weights_sha256": weights_hash,
        "unit": found.unit,
        "value": found.value,
        "bias": found.bias,
        "completeness_error": found.completeness_error,
        "value_error": found.certificate.value_error,
        "tokens": found.tokens,
        "contributions": found.contributions.tolist(),
        "predictions": found.predictions,
    }


def _name(*parts: str | None) -> str:
    """A file name from what was asked: letters and digits, short enough for any system."""
    words = re.findall(r"\w+", " ".join(part for part in parts if part).lower())
    return "-".join(words)[:60]
