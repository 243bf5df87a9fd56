"""The op surface of the installed PyTorch, and the page that says how each op is treated.

``python -m tests.surface`` writes docs/ops.md from ``DEFAULT_RULES``.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import get_ignored_functions, get_overridable_functions

import captum_ilin.rules
from captum_ilin import DEFAULT_RULES, REFERENCE_RULES, Kind, Rule, tangent
from captum_ilin.rules import attention, recurrent
from captum_ilin.ruletable import RuleTable
from captum_ilin.tangent import piecewise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PAGE = Path(__file__).parents[1] / "docs" / "ops.md"
OWNERS: dict[str, Any] = {
    "torch": torch,
    "Tensor": Tensor,
    "F": F,
    "linalg": torch.linalg,
    "fft": torch.fft,
    "special": torch.special,
    "sparse": torch.sparse,
    "_nn": torch._C._nn,
    "_VF": torch._VF,
}
CLASSES = {
    Kind.INERT: "constant",
    Kind.CONSTANT: "constant",
    Kind.LINEAR: "affine",
    Kind.AFFINE: "affine",
    Kind.RULE: "rule",
    Kind.DECOMPOSITION: "rule",
    Kind.REFUSED: "refused",
    Kind.UNREGISTERED: "no rule",
}
OURS = {
    attention.mixed_values: "attention, once its pattern is held",
    recurrent.gated: "a recurrent cell's gate times what it gates",
}


def families() -> Iterator[tuple[str, RuleTable]]:
    """The tables of captum_ilin/rules/ by file name."""
    for found in pkgutil.iter_modules(captum_ilin.rules.__path__):
        module = importlib.import_module(f"captum_ilin.rules.{found.name}")
        table = getattr(module, "RULES", None)
        if isinstance(table, RuleTable):
            yield found.name, table


def surface() -> set[Any]:
    """Everything of PyTorch that a mode may be handed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated names warn when they are looked up
        overridable = {op for ops in get_overridable_functions().values() for op in ops}
        kernels = {op for owner in (torch._C._nn, torch._VF) for op in _functions(owner)}
        methods = set(_functions(Tensor))
        return (overridable | kernels | methods) - get_ignored_functions()


def _functions(owner: Any) -> Iterator[Any]:
    """What ``owner`` itself offers to call; not what every Python object does."""
    listed = torch._C._VariableFunctions if owner is torch._VF else owner
    for name in dir(listed):
        function = getattr(owner, name)
        if callable(function) and not isinstance(function, type) and not hasattr(object, name):
            yield function


def names() -> dict[Any, list[str]]:
    """Every op's names, public ones first."""
    found: dict[Any, list[str]] = defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for prefix, owner in OWNERS.items():
            listed = torch._C._VariableFunctions if owner is torch._VF else owner
            for name in dir(listed):
                function = getattr(owner, name)
                if callable(function) and function in DEFAULT_RULES:
                    found[function].append(f"{prefix}.{name}")
    return found


def page() -> str:
    """The Markdown of docs/ops.md."""
    known = names()
    version = torch.__version__.split("+")[0]
    lines = [
        "# Every op",
        "",
        f"How `DEFAULT_RULES` treats every op of PyTorch {version} that a mode can see, by the "
        "file of `captum_ilin/rules/` that says so. Written by `python -m tests.surface`; "
        "a test compares it with the table and the table with the installed PyTorch.",
        "",
        *_summary(),
        "",
        "`F` is `torch.nn.functional`, `_nn` is `torch._C._nn`, `_VF` is `torch._VF`. A gate "
        "rank of – passes on that of the arguments. In a product the factor of the highest "
        "rank is held: see [the rules](rules.md).",
        "",
    ]
    for name, table in families():
        lines += _section(name, table, known)
    lines += _left_between(known)
    return "\n".join(lines).rstrip() + "\n"


def _summary() -> list[str]:
    counts: dict[str, int] = defaultdict(int)
    for rule in DEFAULT_RULES.values():
        counts[CLASSES[rule.kind]] += 1
    meanings = {
        "affine": "runs as it is",
        "rule": "the rule, or its definition in simpler ops, runs in its place",
        "constant": "its result does not move with the input",
        "refused": "raises `RefusedOpError`, which says why",
        "no rule": "its tangent, exact and reported; `strict=True` raises",
    }
    rows = [f"| {kind} | {counts[kind]} | {text} |" for kind, text in meanings.items()]
    return ["| class | ops | what happens at an active argument |", "|---|---:|---|", *rows]


def _section(name: str, table: RuleTable, known: dict[Any, list[str]]) -> list[str]:
    module = importlib.import_module(f"captum_ilin.rules.{name}")
    title = (module.__doc__ or "").strip().split("\n")[0]
    lines = [f"## {name}", "", title, ""]
    for text, ops in _plain(table).items():
        lines += [f"**{text}**: {_listed(ops, known)}.", ""]
    rows = list(_rows(table, known))
    if rows:
        lines += ["| op | frozen as | gate rank |", "|---|---|---|", *rows, ""]
    return lines


def _left_between(known: dict[Any, list[str]]) -> list[str]:
    """What has a rule at one point, and none between two."""
    groups: dict[str, list[Any]] = defaultdict(list)
    for op, rule in REFERENCE_RULES.items():
        if rule.kind is Kind.UNREGISTERED and DEFAULT_RULES[op].kind is not Kind.UNREGISTERED:
            alone = "; affine, and run as it is, where its first argument alone is active"
            groups[f"{rule.reason}{alone if rule.alone else ''}"].append(op)
    lines = [
        "## Between two points",
        "",
        "With `baselines` the rules are `REFERENCE_RULES`: whatever has a rule above has one "
        "with which F(x) − F(x') adds up, except what follows. It takes its tangent midway "
        "between the points and is reported; the certificate's `baseline_error` shows what is "
        "left over.",
        "",
    ]
    for reason, ops in groups.items():
        lines += [f"**Left, because {reason}**: {_listed(ops, known)}.", ""]
    return lines


def _plain(table: RuleTable) -> dict[str, list[Any]]:
    """Ops that no rule runs for, by what happens to them."""
    groups: dict[str, list[Any]] = defaultdict(list)
    for op, rule in table.items():
        if CLASSES[rule.kind] != "rule":
            what = CLASSES[rule.kind].capitalize()
            groups[f"{what}, for {rule.reason}" if rule.reason else what].append(op)
    return groups


def _rows(table: RuleTable, known: dict[Any, list[str]]) -> Iterator[str]:
    """One row for all ops that one rule serves in one way."""
    groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for op, rule in table.items():
        if CLASSES[rule.kind] == "rule":
            groups[_how(rule), _rank(rule)].append(op)
    for (how, rank), ops in groups.items():
        yield f"| {_listed(ops, known)} | {how} | {rank} |"


def _rank(rule: Rule) -> str:
    """The gate rank of the result; a function of the arguments says in words what it gives."""
    if callable(rule.rank):
        return (rule.rank.__doc__ or "").strip().rstrip(".")
    return "–" if rule.rank is None else str(rule.rank)


def _how(rule: Rule) -> str:
    """In words, what the rule does; the first line of its docstring if it has one."""
    function: Callable[..., Any] = getattr(rule.function, "func", rule.function)
    if function is tangent:
        return "tangent"
    if function is piecewise or function.__name__ == "_piecewise_write":
        return "the active piece"
    if function.__name__ == "secant" or "_secant" in function.__qualname__:
        return "secant through the origin"
    if function.__qualname__.startswith("written_form"):
        return "as out of place, then written"
    return _said_of(function).replace("|", "\\|")


def _said_of(function: Callable[..., Any]) -> str:
    """The first line of the rule's docstring, its maker's or its file's."""
    module = importlib.import_module(function.__module__)
    maker = getattr(module, function.__qualname__.split(".")[0])
    text = function.__doc__ or maker.__doc__ or module.__doc__ or ""
    return text.strip().split("\n")[0].rstrip(".").removeprefix("Register ")


def _listed(ops: Iterable[Any], known: dict[Any, list[str]]) -> str:
    """The ops' names, those of one word together: ``relu`` (torch, Tensor, F)."""
    owners: dict[str, list[str]] = defaultdict(list)
    for op in ops:
        for full in known.get(op) or [OURS.get(op, _property_name(op))]:
            prefix, _, word = full.rpartition(".")
            if prefix not in owners[word] and not (prefix == "_VF" and owners[word]):
                owners[word].append(prefix)
    return ", ".join(
        f"`{word}` ({', '.join(prefixes)})" if any(prefixes) else word
        for word, prefixes in owners.items()
    )


def _property_name(op: Any) -> str:
    return f"Tensor.{DEFAULT_RULES[op].name}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
