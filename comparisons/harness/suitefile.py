"""Suites as TOML files: found by name or path, read, and checked against a registry."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comparisons.harness.suite import MeasureChoice, ModelChoice, Suite
from comparisons.harness.suitetable import SuiteError, Table
from comparisons.nearest import hint
from comparisons.records.digest import digest

if TYPE_CHECKING:
    from comparisons.harness.registry import Registry
    from comparisons.measures.measure import Measure

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["SUITES", "SuiteError", "load_suite", "suite_names"]

SUITES = Path(__file__).parents[1] / "suites"
EXAMPLES = 8
KEYS = ("name", "about", "seed", "examples", "methods", "models", "measures", "known_failures")


def suite_names() -> list[str]:
    """The suites of the harness."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def load_suite(suite: str | Path, registry: Registry) -> Suite:
    """Read and check a suite.

    Args:
        suite: the name of one of the harness's, or the path of a TOML file.
        registry: the models, methods and measures it may name.

    Raises:
        SuiteError: file and key, what is expected there, and what was got.
    """
    path = _path_of(suite)
    try:
        table = Table(path, "", tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"{path} is no TOML: {error}.") from error
    except UnicodeDecodeError as error:
        raise SuiteError(f"{path} is no text in UTF-8: {error}.") from error
    return _suite(table, registry)


def _path_of(suite: str | Path) -> Path:
    named = SUITES / f"{suite}.toml"
    if isinstance(suite, str) and suite in suite_names():
        return named
    path = Path(suite)
    if path.is_file():
        return path
    raise SuiteError(
        f"Expected the name of a suite or the path of a TOML file, got {str(suite)!r}. "
        f"{hint(str(suite), suite_names())}"
    )


def _suite(table: Table, registry: Registry) -> Suite:
    table.expect_keys(KEYS)
    methods = table.names("methods", registry.methods, "method")
    examples = table.number("examples", EXAMPLES, least=1)
    models = tuple(_model(part, registry, examples) for part in table.tables("models"))
    names = tuple(choice.name for choice in models)
    measures = tuple(
        _measure(part, registry, names, methods) for part in table.tables("measures")
    )
    table.expect_once("models", list(names))
    table.expect_once("methods", list(methods))
    table.expect_once("measures", [choice.label for choice in measures])
    return Suite(
        name=table.text("name"),
        about=table.text("about", ""),
        seed=table.number("seed", 0),
        models=models,
        methods=methods,
        measures=measures,
        known_failures=_known_failures(table, names, methods),
    )


def _model(table: Table, registry: Registry, examples: int) -> ModelChoice:
    table.expect_keys(("name", "seeds", "examples"))
    name = table.name("name", registry.models, "model")
    trained = registry.models[name].seeds
    seeds = table.get("seeds", list, list(trained))
    unknown = [seed for seed in seeds if seed not in trained or isinstance(seed, bool)]
    if unknown or not seeds:
        expected = (
            f"no seeds, for there is one {name} only"
            if set(trained) == {None}
            else f"training seeds of {name}, some of {list(trained)}"
        )
        table.refuse("seeds", expected, seeds)
    table.expect_once("seeds", seeds)
    return ModelChoice(name, tuple(seeds), table.number("examples", examples, least=1))


def _measure(
    table: Table, registry: Registry, models: tuple[str, ...], methods: tuple[str, ...]
) -> MeasureChoice:
    name = table.name("name", registry.measures, "measure")
    measure = registry.measures[name]
    table.expect_keys(("name", "models", "methods", *measure.defaults))
    given = {key: table.like(key, default) for key, default in measure.defaults.items()}
    return MeasureChoice(
        name,
        parameters=given,
        variant=_variant(measure, given),
        models=_only(table, "models", models),
        methods=_only(table, "methods", methods),
    )


def _variant(measure: Measure, given: dict[str, Any]) -> str:
    changed = {
        key: value
        for key, value in given.items()
        if digest(value) != digest(measure.defaults[key])  # a list is as good as a tuple
    }
    return ", ".join(f"{key}={_short(value)}" for key, value in changed.items())


def _short(value: Any) -> str:
    return "+".join(map(_short, value)) if isinstance(value, tuple | list) else str(value)


def _only(table: Table, key: str, known: tuple[str, ...]) -> tuple[str, ...] | None:
    """Names that the suite itself must hold."""
    what = f"{key.removesuffix('s')} of this suite"
    return table.names(key, known, what) if key in table.values else None


def _known_failures(
    table: Table, models: tuple[str, ...], methods: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    pairs = table.get("known_failures", list, [])
    for number, pair in enumerate(pairs):
        where = f"known_failures[{number}]"
        if not isinstance(pair, list) or len(pair) != 2:
            table.refuse(where, "a pair [method, model]", pair)
        table.expect_known(where, pair[0], methods, "method of this suite")
        table.expect_known(where, pair[1], models, "model of this suite")
    return tuple((method, model) for method, model in pairs)
