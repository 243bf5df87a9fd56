"""Coloured text: every token with its number on its colour, in a figure and in HTML."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
import torch
from matplotlib.colors import to_rgb
from torch import Tensor

from captum_ilin.pictures import PictureInputError, shade, token_html, token_text, visible
from captum_ilin.pictures.tokens import MARGIN, WIDTH, cells_of
from tests.pictures.conftest import is_blue, is_red

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = ("<b>&amp;", " cat", "\n", " $x$")
VALUES = torch.tensor([1.5, -3.0, 0.0, 0.5], dtype=torch.float64)


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_ink_is_readable_on_every_colour() -> None:
    for step in range(-50, 51):
        low, high = sorted(map(luminance, shade(step / 50, 1.0)))
        assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2.2, level AA


def test_colours_are_symmetric_and_stop_at_the_limit() -> None:
    assert shade(9.0, 3.0) == shade(3.0, 3.0)
    assert shade(1.0, 2.0) == shade(2.0, 4.0)
    for value in (0.2, 0.5, 1.0):
        assert is_red(to_rgb(shade(value, 1.0).background))
        assert is_blue(to_rgb(shade(-value, 1.0).background))


def test_every_token_stands_on_its_colour_with_its_number() -> None:
    figure = token_text(TOKENS, VALUES, title="What $speaks$ for it", notes=["F = 2"])
    canvas = figure.axes[0]
    said = [text.get_text() for text in canvas.texts]
    assert said == [
        *("What $speaks$ for it", "<b>&amp;", "+1.50", "cat", "-3.00", "⏎", "+0.00", "$x$"),
        *("+0.50", "F = 2"),
    ]
    assert not any(text.get_parse_math() for text in canvas.texts)
    for patch, value in zip(canvas.patches, VALUES.tolist(), strict=True):
        assert patch.get_facecolor()[:3] == pytest.approx(to_rgb(shade(value, 3.0).background))


def test_long_texts_go_on_in_a_new_line_within_the_width() -> None:
    tokens = [f" word{n}" for n in range(60)]
    cells = cells_of(tokens, [-100.0] * 60)
    assert cells[-1].line > 3
    assert max(cell.left + cell.width for cell in cells) <= WIDTH - MARGIN
    short = token_text(tokens[:3], torch.ones(3)).get_figheight()
    assert token_text(tokens, torch.ones(60)).get_figheight() > short + 1.0


def test_wide_signs_have_room_for_two_letters() -> None:
    narrow, wide = cells_of(["abcdefgh", "日本語日本語日本"], [1.0, 1.0])
    assert wide.width > 1.8 * narrow.width


@pytest.mark.filterwarnings("error")
def test_signs_that_the_font_lacks_are_saved_without_a_warning(tmp_path: Path) -> None:
    token_text(["日本", "語"], torch.ones(2), save=tmp_path / "found.png")
    assert (tmp_path / "found.png").exists()


def test_an_infinite_limit_is_the_largest_contribution() -> None:
    assert token_html(TOKENS, VALUES, limit=math.inf) == token_html(TOKENS, VALUES)


def test_predictions_are_bars() -> None:
    figure = token_text(TOKENS, VALUES, predictions=[(" Paris", 0.75), (" Rome", 0.25)])
    bars = figure.axes[-1]
    assert [bar.get_width() for bar in bars.patches] == [0.75, 0.25]
    assert [label.get_text() for label in bars.get_yticklabels()] == ['" Paris"', '" Rome"']


class Balance(HTMLParser):
    """Counts open elements, collects text and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.said: list[str] = []
        self.styles: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.styles += [value for name, value in attrs if name == "style"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def test_html_is_whole_and_escapes_the_text() -> None:
    parser = Balance()
    parser.feed(token_html(TOKENS, VALUES, unit="<logit>"))
    assert parser.open == []
    said = "".join(parser.said)
    assert all(visible(token) in said for token in TOKENS)
    assert all(f"{value:+.2f}" in said for value in VALUES.tolist())
    assert {"−3.00", "+3.00", "<logit>", "against", "for"} <= set(parser.said)
    backgrounds = [
        found[1]
        for style in parser.styles
        if (found := re.match(r"background:(#\w{6});color", style))
    ]
    assert backgrounds == [shade(value, 3.0).background for value in VALUES.tolist()]


@pytest.mark.parametrize("draw", [token_text, token_html])
@pytest.mark.parametrize(
    ("tokens", "values", "message"),
    [
        (
            ["a"],
            torch.ones(2),
            r"tokens must be 2 texts, one for each contribution, but got 1 to",
        ),
        (
            "ab",
            torch.ones(2),
            r"tokens must be 2 texts, one for each contribution, but got 'ab'",
        ),
        (
            ["a"],
            torch.ones(1, 2),
            r"contributions must be shaped \(tokens,\), but got \(1, 2\)",
        ),
        ([], torch.ones(0), r"contributions must be shaped \(tokens,\), but got \(0,\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    draw: Any, tokens: Any, values: Tensor, message: str
) -> None:
    with pytest.raises(PictureInputError, match=f"^{message}"):
        draw(tokens, values)


@pytest.mark.parametrize("limit", [0.0, -1.0])
def test_a_scale_without_length_is_refused(limit: float) -> None:
    with pytest.raises(
        PictureInputError, match=r"^The end of a colour scale must be greater th"
    ):
        shade(1.0, limit)
