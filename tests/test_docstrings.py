"""Examples in docstrings give what they print, and no public name lacks one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import captum_ilin

MODULES = [found.name for found in pkgutil.walk_packages(captum_ilin.__path__, "captum_ilin.")]
PUBLIC = [
    name
    for name in captum_ilin.__all__
    if not inspect.isclass(getattr(captum_ilin, name))
    or not issubclass(getattr(captum_ilin, name), Exception)
]


EXAMPLES = [
    found
    for name in MODULES
    for found in doctest.DocTestFinder().find(importlib.import_module(name), name)
    if found.examples
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_gives_what_it_prints(example: doctest.DocTest) -> None:
    said: list[str] = []
    doctest.DocTestRunner().run(example, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_object_shows_an_example(name: str) -> None:
    assert ">>>" in (inspect.getdoc(getattr(captum_ilin, name)) or "")
