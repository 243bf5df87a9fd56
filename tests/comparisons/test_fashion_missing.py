"""Commands that are asked for Fashion-MNIST where it is not installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comparisons.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("command", ["geometry", "representer", "tsne"])
def test_without_fashion_mnist_it_says_how_to_get_it(
    command: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FASHION_MNIST", str(tmp_path))
    assert main([command, "--data", "fashion", "--out", str(tmp_path / "out")]) == 2
    assert "apt-get download dataset-fashion-mnist" in capsys.readouterr().err
