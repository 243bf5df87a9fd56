"""``run``: a suite, from where it was left."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comparisons.commands.names import Commands

__all__ = ["add"]

ABOUT = """\
Run what is left of a suite, record it, and report.

The folder holds one line for each number; run the same command again and it goes on, after an
interruption too. Under torchrun the processes share the work:
  torchrun --nproc-per-node 2 -m comparisons run paper
"""
EXITS = """\
exit codes:
  0    all cells are recorded, and none failed that the suite does not know to fail
  1    a cell failed; its error is in the tables
  2    wrong usage: nothing was run
  3    stopped at --max-minutes; the same command goes on
  130  interrupted (Ctrl-C); the same command goes on, at most the example in flight is lost
"""


def add(commands: Commands) -> None:
    """Declare the command."""
    run = commands.add_parser(
        "run",
        help="run a suite, or go on with it (the default, with the suite quick)",
        description=ABOUT,
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument(
        "suite", nargs="?", default="quick", help="a name (default: quick) or a TOML file"
    )
    run.add_argument("--out", type=Path, help="folder (default: results/<suite>)")
    _add_selection(run)
    run.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    run.add_argument(
        "--threads", type=_positive, default=1, help="PyTorch's threads (default: 1)"
    )
    run.add_argument("--max-minutes", type=float, metavar="M", help="begin nothing after them")
    run.add_argument("--retry-failed", action="store_true", help="run failed cells again")
    run.add_argument(
        "--fresh", action="store_true", help="rename a folder that is there, and begin anew"
    )
    run.add_argument(
        "--no-report", action="store_true", help="leave out tables and figures at the end"
    )
    run.set_defaults(command=_run)


def _add_selection(run: argparse.ArgumentParser) -> None:
    run.add_argument("--models", nargs="+", metavar="MODEL", help="only these of the suite")
    run.add_argument("--methods", nargs="+", metavar="METHOD", help="only these of the suite")
    run.add_argument("--measures", nargs="+", metavar="MEASURE", help="only these of the suite")
    run.add_argument(
        "--examples", type=_positive, metavar="N", help="of each model (default: the suite's)"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from comparisons.harness.running import run
    from comparisons.harness.shards import StoppedByFirstError
    from comparisons.harness.suitefile import SuiteError
    from comparisons.records.resultsfolder import FolderError

    _expect_device(options.device, parser)
    try:
        return run(
            options.suite,
            options.out,
            models=options.models,
            methods=options.methods,
            measures=options.measures,
            examples=options.examples,
            device=options.device,
            threads=options.threads,
            max_minutes=options.max_minutes,
            retry_failed=options.retry_failed,
            fresh=options.fresh,
            report=not options.no_report,
        )
    except (SuiteError, FolderError) as error:
        parser.error(str(error))
    except StoppedByFirstError:
        return 2


def _expect_device(device: str, parser: argparse.ArgumentParser) -> None:
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            parser.error("--device cuda: PyTorch sees no CUDA device here.")
