"""Code blocks of the Markdown pages run as tests."""

from __future__ import annotations

from doctest import ELLIPSIS, NORMALIZE_WHITESPACE

import pytest
import torch
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE),
        SkipParser(),
    ],
    patterns=["*.md"],
    setup=lambda namespace: torch.manual_seed(0),
).pytest()


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test draws the same random numbers."""
    torch.manual_seed(0)
