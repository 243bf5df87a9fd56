"""Beside captum's DeepLIFT: the same where it closes its sum, and right where it does not."""

from __future__ import annotations

import pytest
import torch

from tests.deeplift import CASES, PAGE, outcome

RIGHT = [name for name, case in CASES.items() if case.is_right]
WRONG = [name for name, case in CASES.items() if not case.is_right]


@pytest.mark.parametrize("name", CASES)
def test_ilin_closes_the_sum(name: str) -> None:
    assert outcome(CASES[name]).ilin <= 1e-11


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)], ids=str
)
@pytest.mark.parametrize("name", RIGHT)
def test_the_same_where_deeplift_is_right(
    name: str, dtype: torch.dtype, tolerance: float
) -> None:
    found = outcome(CASES[name], dtype)
    assert found.apart is not None
    assert found.apart <= tolerance


@pytest.mark.parametrize("name", WRONG)
def test_where_deeplift_is_not_right(name: str) -> None:
    """Should a later captum close these sums, the page must say so."""
    found = outcome(CASES[name])
    assert found.deeplift is None or found.deeplift > 1e-2


def test_the_page_lists_the_cases() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"| {name} |" in page for name in CASES)
