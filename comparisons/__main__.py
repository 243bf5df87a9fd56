"""``python -m comparisons``: see ``--help``."""

from __future__ import annotations

import argparse
import sys

from comparisons.commands import (
    categorical,
    cost,
    geometry,
    keep,
    language,
    listing,
    pictures,
    report,
    representer,
    run,
    train,
    tsne,
    zoo,
)
from comparisons.packages import MissingPackageError

EXTRA = (
    "The comparisons need packages that captum-ilin itself does not ({missing} is missing). "
    'Install them with: python -m pip install -e ".[{extra}]"'
)
EXTRAS = {"timm": "zoo", "torchvision": "cost", "transformers": "zoo"}
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, or what ``run --help`` says."""
    parser = _parser()
    given = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(given or ["run"])
    try:
        return int(options.command(options, parser))
    except MissingPackageError as error:
        print(error, file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(_advice(str(error.name)), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED


def _advice(missing: str) -> str:
    extra = EXTRAS.get(missing.partition(".")[0], "comparisons")
    return EXTRA.format(missing=missing, extra=extra)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m comparisons",
        description="Attribution methods compared on trained networks. Without a command: "
        "run quick.",
    )
    commands = parser.add_subparsers(metavar="command", required=True)
    for command in (
        run,
        report,
        keep,
        cost,
        language,
        pictures,
        tsne,
        categorical,
        representer,
        geometry,
        zoo,
        listing,
        train,
    ):
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
