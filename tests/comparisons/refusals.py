"""What a command says when it refuses its arguments, and that nothing is left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comparisons.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["refusal"]


def refusal(
    command: str, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> str:
    """Run the command, which must stop before it writes anything, and return what it says."""
    folder = tmp_path / "out"
    with pytest.raises(SystemExit) as stopped:
        main([command, *arguments, "--out", str(folder)])
    assert stopped.value.code == 2
    assert not folder.exists()
    return " ".join(capsys.readouterr().err.split())
