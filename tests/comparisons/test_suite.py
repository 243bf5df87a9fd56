"""Suites: what a file gives, and what is said about one that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("rich", reason="the comparisons' extra is not installed")

from comparisons.harness.registry import RegistryError, registered
from comparisons.harness.suitefile import SuiteError, load_suite, suite_names
from comparisons.models.network import Model
from tests.comparisons.tiny import SUITE, network, registry, suite_file

if TYPE_CHECKING:
    from pathlib import Path


def test_a_suite_gives_everything_with_its_defaults(tmp_path: Path) -> None:
    suite = load_suite(suite_file(tmp_path), registry())
    assert (suite.name, suite.about, suite.seed) == ("tiny", "", 0)
    (model,) = suite.models
    assert (model.name, model.seeds, model.examples) == ("net", (0, 1), 3)
    assert suite.methods == ("Saliency", "InputXGradient", "Noise")
    assert [(m.label, dict(m.parameters)) for m in suite.measures] == [
        ("total", {}),
        ("draws count=3", {"count": 3, "sizes": (0.5,)}),
    ]
    assert suite.known_failures == ()


def test_seeds_are_all_of_the_model_unless_told(tmp_path: Path) -> None:
    text = SUITE.replace("seeds = [0, 1]", "examples = 2")
    (model,) = load_suite(suite_file(tmp_path, text), registry()).models
    assert (model.seeds, model.examples) == ((0, 1), 2)


def test_a_measure_may_be_for_some_methods_only(tmp_path: Path) -> None:
    text = SUITE.replace('name = "total"', 'name = "total"\nmethods = ["Noise"]')
    total, _ = load_suite(suite_file(tmp_path, text), registry()).measures
    assert total.is_for("net", "Noise")
    assert not total.is_for("net", "Saliency")


def test_one_measure_twice_with_other_parameters(tmp_path: Path) -> None:
    text = SUITE + '\n[[measures]]\nname = "draws"\n'
    labels = [m.label for m in load_suite(suite_file(tmp_path, text), registry()).measures]
    assert labels == ["total", "draws count=3", "draws"]


def test_a_restricted_suite_keeps_its_order(tmp_path: Path) -> None:
    suite = load_suite(suite_file(tmp_path), registry())
    part = suite.restricted(methods=["Noise", "Saliency"], measures=["draws"], examples=1)
    assert part.methods == ("Saliency", "Noise")
    assert [choice.name for choice in part.measures] == ["draws"]
    assert part.models[0].examples == 1
    assert suite.restricted() == suite


WRONG = [
    ("seed", 'name = "tiny"', 'name = "tiny"\nseed = "x"', "expected a whole number, got 'x'."),
    (
        "seed",
        'name = "tiny"',
        'name = "tiny"\nseed = true',
        "expected a whole number, got True.",
    ),
    ("name", 'name = "tiny"', "name = 3", "expected a text, got 3."),
    ("sed", 'name = "tiny"', 'name = "tiny"\nsed = 1', "unknown key. Did you mean seed?"),
    (
        "examples",
        "examples = 3",
        "examples = 0",
        "expected a whole number of at least 1, got 0.",
    ),
    (
        "methods[0]",
        '"Saliency"',
        '"Salience"',
        "unknown method 'Salience'. Did you mean Saliency?",
    ),
    ("methods[0]", '"Saliency"', "7", "expected the name of a method, got 7."),
    (
        "methods",
        '["Saliency", "InputXGradient", "Noise"]',
        "[]",
        "expected at least one method, got [].",
    ),
    ("methods", '"Noise"]', '"Noise", "Noise"]', "'Noise' is there twice."),
    ("models[0].name", '"net"', '"zzz"', "unknown model 'zzz'. Known: net."),
    (
        "models[0].seeds",
        "[0, 1]",
        "[0, 7]",
        "expected training seeds of net, some of [0, 1], got [0, 7].",
    ),
    ("models[0].seeds", "[0, 1]", "[0, 0]", "0 is there twice."),
    ("models[0].sedes", "seeds", "sedes", "unknown key. Did you mean seeds?"),
    ("measures[0].name", '"total"', '"totl"', "unknown measure 'totl'. Did you mean total?"),
    ("measures[1].count", "count = 3", "count = 2.5", "expected a whole number, got 2.5."),
    (
        "measures[1].count",
        "count = 3",
        "count = 0",
        "expected a whole number of at least 1, got 0.",
    ),
    (
        "measures[1].sizes",
        "count = 3",
        "sizes = []",
        "expected a list that is not empty, got [].",
    ),
    ("measures[1].sizes[1]", "count = 3", 'sizes = [1, "a"]', "expected a number, got 'a'."),
    ("measures[1].cuont", "count = 3", "cuont = 3", "unknown key. Did you mean count?"),
    (
        "measures[1].methods[0]",
        "count = 3",
        'methods = ["IG"]',
        "unknown method of this suite 'IG'. Known: Saliency, InputXGradient, Noise.",
    ),
    ("measures", '"total"', '"draws"\ncount = 3', "'draws count=3' is there twice."),
    (
        "known_failures[0]",
        'name = "tiny"',
        'name = "tiny"\nknown_failures = ["Noise"]',
        "expected a pair [method, model], got 'Noise'.",
    ),
    (
        "known_failures[0]",
        'name = "tiny"',
        'name = "tiny"\nknown_failures = [["Noise", "nte"]]',
        "unknown model of this suite 'nte'. Did you mean net?",
    ),
]


@pytest.mark.parametrize(("key", "old", "new", "message"), WRONG)
def test_what_is_wrong_is_said(
    tmp_path: Path, key: str, old: str, new: str, message: str
) -> None:
    assert old in SUITE
    path = suite_file(tmp_path, SUITE.replace(old, new, 1))
    with pytest.raises(SuiteError) as raised:
        load_suite(path, registry())
    assert str(raised.value) == f"{path}: {key}: {message}"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    path = suite_file(tmp_path, 'about = "nothing"')
    with pytest.raises(SuiteError) as raised:
        load_suite(path, registry())
    assert str(raised.value) == f"{path}: methods is missing: expected a list."


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = suite_file(tmp_path, "name = ")
    with pytest.raises(SuiteError, match=r"tiny\.toml is no TOML: Invalid value"):
        load_suite(path, registry())


def test_an_unknown_suite_offers_near_names() -> None:
    with pytest.raises(SuiteError) as raised:
        load_suite("quik", registry())
    assert str(raised.value) == (
        "Expected the name of a suite or the path of a TOML file, got 'quik'. "
        "Did you mean quick?"
    )


@pytest.mark.parametrize("name", suite_names())
def test_suites_of_the_harness_are_sound(name: str) -> None:
    suite = load_suite(name, registered())
    assert suite.name == name
    assert suite.about


def test_a_taken_name_is_refused() -> None:
    known = registry()
    with pytest.raises(RegistryError, match="The name 'Noise' is taken by "):
        known.with_method(known.methods["Noise"])


def test_seeds_of_a_network_that_is_there_once_are_refused(tmp_path: Path) -> None:
    once = registry().with_model(Model("once", network))
    text = SUITE.replace('"net"', '"once"')
    with pytest.raises(SuiteError, match=r"expected no seeds, for there is one once only, got"):
        load_suite(suite_file(tmp_path, text), once)
