"""``python -m comparisons``: see ``--help``."""

from __future__ import annotations

import argparse
import difflib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from comparisons.packages import MissingPackageError

if TYPE_CHECKING:
    from collections.abc import Callable

    _Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

EXTRA = (
    "The comparisons need packages that captum-ilin itself does not ({missing} is missing). "
    'Install them with: python -m pip install -e ".[{extra}]"'
)
EXTRAS = {"timm": "zoo", "torchvision": "cost", "transformers": "zoo"}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 if a cell failed, 2 on wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(_COMMANDS[options.command](options, parser))
    except MissingPackageError as error:
        print(error, file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(_advice(str(error.name)), file=sys.stderr)
        return 2


def _advice(missing: str) -> str:
    extra = EXTRAS.get(missing.partition(".")[0], "comparisons")
    return EXTRA.format(missing=missing, extra=extra)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m comparisons",
        description="Attribution methods compared on trained networks.",
    )
    parser.set_defaults(
        command="run", models=None, methods=None, repeats=3, out=None, threads=None
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    _add_run(commands)
    _add_cost(commands)
    _add_language(commands)
    _add_zoo(commands)
    commands.add_parser("list", help="models and methods")
    train = commands.add_parser("train", help="train the small networks again")
    train.add_argument(
        "data", nargs="*", help="digits, fashion_mnist, breast_cancer (default: all)"
    )
    return parser


def _add_run(commands: _Commands) -> None:
    run = commands.add_parser("run", help="completeness, cost and pictures (the default)")
    run.add_argument("--models", nargs="+", metavar="MODEL", help="default: three of them")
    run.add_argument("--methods", nargs="+", metavar="METHOD", help="default: five of them")
    run.add_argument("--repeats", type=int, default=3, help="timed repeats (default: 3)")
    run.add_argument("--out", type=Path, help="folder (default: results/run-<time>)")


def _add_cost(commands: _Commands) -> None:
    cost = commands.add_parser("cost", help="paired timings and peak memory")
    cost.add_argument("--models", nargs="+", metavar="MODEL", help="default: all")
    cost.add_argument("--repeats", type=int, default=11, help="paired repeats (default: 11)")
    cost.add_argument("--size", type=int, default=224, help="image side (default: 224)")
    cost.add_argument("--batch", type=int, default=1, help="rows (default: 1)")
    cost.add_argument(
        "--scaling",
        action="store_true",
        help="growth with tokens, depth and batch instead, of ILIN and Saliency",
    )
    cost.add_argument("--threads", type=int, help="PyTorch's threads (default: its own)")
    cost.add_argument("--out", type=Path, help="folder (default: results/cost-<time>)")


def _add_language(commands: _Commands) -> None:
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
    language.add_argument("--out", type=Path, help="folder (default: results/language)")


def _add_zoo(commands: _Commands) -> None:
    zoo = commands.add_parser("zoo", help="certify the zoo's architectures; writes its page")
    zoo.add_argument("--models", nargs="+", metavar="MODEL", help="default: all")
    zoo.add_argument("--out", type=Path, default=Path("docs/zoo.md"), help="the page")


def _run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from comparisons.methods import METHODS
    from comparisons.models import MODELS
    from comparisons.run import COMPARED, SHOWN, run

    failed = run(
        options.out or _new_folder("run"),
        _known(options.models or list(SHOWN), list(MODELS), "model", parser),
        _known(options.methods or list(COMPARED), list(METHODS), "method", parser),
        repeats=options.repeats,
        console=Console(),
    )
    return 1 if failed else 0


def _cost(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from comparisons.cost import NETWORKS, cost

    if options.scaling:
        return _scaling(options, parser)
    cost(
        options.out or _new_folder("cost"),
        _known(options.models, list(NETWORKS), "model", parser),
        repeats=options.repeats,
        size=options.size,
        batch=options.batch,
        threads=options.threads,
        console=Console(),
    )
    return 0


def _language(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from comparisons.language import PromptError
    from comparisons.language.command import LANGUAGE_MODELS, explain

    (model,) = _known([options.model], list(LANGUAGE_MODELS), "model", parser)
    console = Console()
    try:
        files = explain(
            options.out or Path("results") / "language",
            model,
            options.prompt,
            target=options.target,
            against=options.against,
            console=console,
        )
    except PromptError as error:
        parser.error(str(error))
    for path in files:
        console.print(f"  {path}", highlight=False, soft_wrap=True)
    return 0


def _zoo(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from comparisons.zoo import ARCHITECTURES
    from comparisons.zoo.page import write_page

    known = {architecture.name: architecture for architecture in ARCHITECTURES}
    names = _known(options.models, list(known), "model", parser)
    write_page(options.out, [known[name] for name in names], Console())
    return 0


def _scaling(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from rich.console import Console

    from comparisons.scaling import NETWORKS, scaling

    scaling(
        options.out or _new_folder("scaling"),
        _known(options.models, list(NETWORKS), "model", parser),
        repeats=options.repeats,
        threads=options.threads,
        console=Console(),
    )
    return 0


def _list(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from comparisons.cost import NETWORKS
    from comparisons.language.command import LANGUAGE_MODELS
    from comparisons.methods import METHODS
    from comparisons.models import MODELS

    print("models for run: ", ", ".join(MODELS))
    print("methods for run:", ", ".join(METHODS))
    print("models for cost:", ", ".join(NETWORKS))
    print("models for language:", ", ".join(LANGUAGE_MODELS))
    return 0


def _train(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from comparisons.models import digits, fashion_training, tabular

    trainers: dict[str, Callable[[], None]] = {
        "digits": digits.train,
        "fashion_mnist": fashion_training.train,
        "breast_cancer": tabular.train,
    }
    for name in _known(options.data, list(trainers), "data", parser):
        trainers[name]()
    return 0


_COMMANDS = {
    "run": _run,
    "cost": _cost,
    "language": _language,
    "zoo": _zoo,
    "list": _list,
    "train": _train,
    None: _run,
}


def _known(
    names: list[str] | None, known: list[str], what: str, parser: argparse.ArgumentParser
) -> list[str]:
    """The chosen names, all known; near matches are offered for one that is not."""
    for name in names or []:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
            hint = (
                f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
            )
            parser.error(f"unknown {what} {name!r}. {hint}")
    return names or known


def _new_folder(kind: str) -> Path:
    return Path("results") / f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}"


if __name__ == "__main__":
    sys.exit(main())
