"""The pictures of the docs' page: all committed, small, and drawn by the command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

from PIL import Image

from comparisons.__main__ import main
from comparisons.gallery import NAMES

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_shows_every_picture_and_all_are_small() -> None:
    shown = re.findall(r"\(pictures/(\w+)\.png\)", (DOCS / "pictures.md").read_text("utf-8"))
    assert sorted(shown) == sorted(NAMES)
    committed = {path.stem: path.stat().st_size for path in (DOCS / "pictures").iterdir()}
    assert sorted(committed) == sorted(NAMES)
    assert sum(committed.values()) < 400_000


@pytest.mark.slow
def test_the_command_draws_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pictures", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for name in NAMES:
        assert f"{name}.png" in said
        drawn, committed = (
            Image.open(folder / f"{name}.png") for folder in (tmp_path, DOCS / "pictures")
        )
        with drawn, committed:
            assert drawn.size == committed.size
