"""``few_colours``: pictures with a palette keep the colours that tell lines apart."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("PIL", reason="the comparisons' extra is not installed")

from PIL import Image

from comparisons.picture import COLOURS, few_colours

if TYPE_CHECKING:
    from pathlib import Path


ORANGE = (0xD5, 0x5E, 0)


def test_a_thin_line_keeps_its_colour_among_many(tmp_path: Path) -> None:
    one = np.broadcast_to(np.arange(256), (256, 256))
    picture = np.dstack([one, one ^ one.T, one.T]).astype(np.uint8)
    picture[100, :40] = ORANGE
    Image.fromarray(picture).save(tmp_path / "many.png")
    with Image.open(io.BytesIO(few_colours(tmp_path / "many.png"))) as found:
        assert found.mode == "P"
        assert len(found.getcolors()) <= COLOURS
        line = np.asarray(found.convert("RGB"))[100, :40].astype(int)
    assert np.abs(line - ORANGE).max() <= 4
