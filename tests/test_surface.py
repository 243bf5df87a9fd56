"""Every op that PyTorch can hand to a mode is in exactly one class, and the page says so."""

from __future__ import annotations

import pkgutil
import runpy
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import torch

import captum_ilin.rules
from captum_ilin import DEFAULT_RULES, RefusedOpError, linearize
from captum_ilin.rule import Kind, op_name
from captum_ilin.rules import spellings
from tests.surface import CLASSES, PAGE, families, names, page, surface

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_every_op_of_the_installed_torch_is_classified() -> None:
    missing = sorted(op_name(op) for op in surface() if op not in DEFAULT_RULES)
    assert not missing, f"no class for {missing}"


def test_every_op_is_in_one_file() -> None:
    counts = Counter(op for _, table in families() for op in table)
    twice = [op_name(op) for op, count in counts.items() if count > 1]
    assert not twice
    assert counts.keys() == DEFAULT_RULES.keys()


def test_an_unclassified_op_would_be_found() -> None:
    assert torch.relu in surface()
    assert torch.Tensor.__iadd__ in surface()
    assert torch._VF.lstm in surface()


@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.UNREGISTERED])
def test_what_has_no_rule_has_a_reason(kind: Kind) -> None:
    without = [op_name(o) for o, r in DEFAULT_RULES.items() if r.kind is kind and not r.reason]
    assert not without


def test_every_kind_has_a_class() -> None:
    assert set(CLASSES) == set(Kind)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
def test_no_name_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names under which the installed PyTorch has nothing would be rules for nothing."""
    asked: dict[str, bool] = {}
    found = spellings._found

    def recording(owners: tuple[object, ...], wanted: Sequence[str]) -> tuple[Any, ...]:
        for name in wanted:
            asked[name] = asked.get(name, False) or bool(found(owners, [name]))
        return found(owners, list(wanted))

    monkeypatch.setattr(spellings, "_found", recording)
    for module in pkgutil.walk_packages(captum_ilin.rules.__path__, "captum_ilin.rules."):
        if not module.ispkg:
            runpy.run_module(module.name)
    assert len(asked) > 500
    stale = [name for name, known in asked.items() if not known]
    assert [name for name in stale if not _is_writing_form(name)] == []


def _is_writing_form(name: str) -> bool:
    """``writings`` asks for in-place forms of all of an op's names; not all have one."""
    return name.endswith("_") and not name.endswith("__") and bool(_plain_ops(name[:-1]))


def _plain_ops(name: str) -> tuple[Any, ...]:
    return spellings.spellings(name)


def test_refused_ops_say_why() -> None:
    x = torch.randn(2, 3).double()
    with pytest.raises(
        RefusedOpError,
        match=r"^Cannot freeze special_bessel_j0, because PyTorch has no derivative of it\. "
        r"Compute this part outside the forward function, or give the op a rule: `linearize",
    ):
        linearize(torch.special.bessel_j0, x)


def test_a_refused_op_of_constants_runs() -> None:
    constant = torch.rand(3).double()
    affine_map = linearize(
        lambda x: x * torch.special.bessel_j0(constant), torch.randn(2, 3).double()
    )
    assert affine_map.check().value_error == 0


def test_every_op_has_a_name_for_the_page() -> None:
    assert len(names()) > 1500


def test_the_page_is_up_to_date() -> None:
    version = torch.__version__.split("+")[0]
    text = PAGE.read_text(encoding="utf-8")
    if f"PyTorch {version} " not in text:
        pytest.skip(f"docs/ops.md was written for another PyTorch than {version}")
    assert text == page(), "run `python -m tests.surface`"
