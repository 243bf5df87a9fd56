"""``vote_maps``: what stands in it, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

pytest.importorskip("matplotlib", reason="the pictures' extra is not installed")

from captum_ilin.pictures import PictureInputError, vote_maps

if TYPE_CHECKING:
    from pathlib import Path

IMAGE, EXAMPLES = torch.rand(1, 6, 5), torch.rand(3, 1, 6, 5)
SHARES = torch.randn(3, 1, 6, 5).double()
VOTES = SHARES.sum((1, 2, 3)) + torch.tensor([0.5, -0.25, 0.0]).double()


def test_each_vote_stands_above_its_example_and_its_parts_above_its_map(tmp_path: Path) -> None:
    path = tmp_path / "votes.png"
    figure = vote_maps(IMAGE, EXAMPLES, SHARES, VOTES, labels=["a", "b", "c"], save=path)
    titles = [axis.get_title() for axis in figure.axes[:8]]
    assert titles[0] == "test image"
    for number in range(3):
        label, vote = titles[1 + number].split("\n")
        pixels, rest = titles[5 + number].split("\n")
        assert label == "abc"[number]
        assert _number(vote) == pytest.approx(float(VOTES[number]), abs=5e-3)
        assert _number(pixels) == pytest.approx(float(SHARES[number].sum()), abs=5e-3)
        assert _number(pixels) + _number(rest) == pytest.approx(_number(vote), abs=2e-3)
        drawn = figure.axes[5 + number].images[0].get_array()
        assert torch.allclose(torch.as_tensor(drawn), SHARES[number, 0])
        shown = figure.axes[1 + number].images[0].get_array()
        assert torch.allclose(torch.as_tensor(shown).float(), EXAMPLES[number, 0])
    assert path.stat().st_size > 0


def _number(text: str) -> float:
    return float(text.split()[-1].replace("−", "-"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IMAGE, EXAMPLES, SHARES, VOTES[:2]), "votes must be 3 numbers, one for each map"),
        ((IMAGE, EXAMPLES[:2], SHARES, VOTES), "images must be 3 of 6×5 with one or three"),
        ((IMAGE[:, :4], EXAMPLES, SHARES, VOTES), "images must be 1 of 6×5"),
        ((IMAGE, EXAMPLES * 3, SHARES, VOTES), "images must lie in 0–1 to be seen as they are"),
        ((IMAGE, EXAMPLES, SHARES, VOTES[None]), "votes must be shaped (k,), but got (1, 3)"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(PictureInputError) as refused:
        vote_maps(*arguments)
    assert message in str(refused.value)
