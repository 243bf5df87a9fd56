"""``language``: the contributions of a prompt's tokens to the next one, as coloured text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from comparisons.commands.names import known

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from comparisons.commands.names import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Declare the command."""
    language = commands.add_parser(
        "language",
        help="contributions of a prompt's tokens to the next token, as coloured text",
    )
    language.add_argument("prompt", help='a text, such as "The capital of France is"')
    language.add_argument("--model", default="smollm2", help="smollm2 (default) or minilm")
    language.add_argument(
        "--target",
        help='token whose logit is explained, such as " Paris" (default: the most probable '
        "one); with minilm the sentence that the prompt is compared with",
    )
    language.add_argument("--against", help="token (sentence) that is subtracted")
    language.add_argument(
        "--directions",
        type=int,
        metavar="COUNT",
        help="instead, the first singular directions of each token's block, read as tokens",
    )
    language.add_argument("--out", type=Path, help="folder (default: results/language)")
    language.set_defaults(command=_language)


def _language(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from captum_ilin import RankError
    from comparisons.language import PromptError
    from comparisons.language.command import LANGUAGE_MODELS

    (model,) = known([options.model], LANGUAGE_MODELS, "model", parser)
    if options.directions is not None and (options.target or options.against):
        parser.error("--directions are of all next tokens: leave out --target and --against")
    console = Console()
    try:
        files = _files(options, model, console)
    except (PromptError, RankError) as error:
        parser.error(str(error))
    for path in files:
        console.print(f"  {path}", highlight=False, soft_wrap=True)
    return 0


def _files(options: argparse.Namespace, model: str, console: Console) -> list[Path]:
    from comparisons.language.command import explain, explain_directions

    folder = options.out or Path("results") / "language"
    if options.directions is not None:
        return explain_directions(
            folder, model, options.prompt, count=options.directions, console=console
        )
    return explain(
        folder,
        model,
        options.prompt,
        target=options.target,
        against=options.against,
        console=console,
    )
