"""Attributions, templates, bias maps, singular directions: right numbers, right colours."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_ilin import linearize, pictures
from captum_ilin.pictures import PictureInputError
from tests.pictures.conftest import colour_of, is_blue, is_red, maps

SIGNS = torch.tensor([[[1.0, -1.0], [0.0, 0.5]], [[-4.0, 2.0], [0.25, 0.0]]])


def titles(figure: Any) -> list[str]:
    return [axis.get_title() for axis in figure.axes if axis.get_title()]


def all_maps(values: Tensor) -> Any:
    """(maps, height, width) by every function that draws maps."""
    named = {str(number): each for number, each in enumerate(values)}
    yield pictures.attribution_maps(values)
    yield pictures.templates(values)
    yield pictures.bias_maps(named)


def test_all_maps_share_one_scale_symmetric_about_zero() -> None:
    for figure in all_maps(SIGNS):
        drawn = maps(figure)
        assert len(drawn) >= 2
        ends = {image.get_clim() for image in drawn}
        ((low, high),) = ends
        assert low == -high < 0
        bar = figure.axes[-1]
        assert bar.get_ylim() == pytest.approx((low, high))
        assert "logit" in bar.get_ylabel()


def test_a_scale_of_each_map_s_own_would_be_seen() -> None:
    """The test above would pass on equal maps, whatever their scales."""
    drawn = maps(pictures.attribution_maps(SIGNS))
    alone = [maps(pictures.attribution_maps(each))[0].get_clim() for each in SIGNS]
    assert alone[0] != alone[1]
    assert {image.get_clim() for image in drawn} != set(alone)


def test_red_speaks_for_and_blue_against() -> None:
    for figure in all_maps(SIGNS):
        image = next(i for i in maps(figure) if float(i.get_array()[0, 0]) == 1.0)
        assert is_red(colour_of(image, 0, 0))
        assert is_blue(colour_of(image, 0, 1))
        white = colour_of(image, 1, 0)
        assert white.min() > 0.95


def test_values_are_drawn_as_they_are_summed_over_channels() -> None:
    values = torch.randn(3, 2, 4, 5)
    drawn = maps(pictures.attribution_maps(values))
    for image, each in zip(drawn, values.double(), strict=True):
        expected = [
            [sum(float(each[c, i, j]) for c in range(2)) for j in range(5)] for i in range(4)
        ]
        torch.testing.assert_close(
            torch.as_tensor(image.get_array().filled()), torch.tensor(expected).double()
        )


def test_sums_stand_above_the_maps() -> None:
    found = titles(pictures.attribution_maps(SIGNS, labels=["cat", "dog"]))
    assert found == ["cat\nsum +0.500", "dog\nsum −1.750"]


def test_blocks_keep_every_sum() -> None:
    values = torch.randn(2, 4, 6, dtype=torch.float64)
    whole, squares = (maps(pictures.attribution_maps(values, block=block)) for block in (1, 2))
    for one, other in zip(whole, squares, strict=True):
        assert other.get_array().shape == (2, 3)
        corner = sum(float(one.get_array()[i, j]) for i in range(2) for j in range(2))
        assert float(other.get_array()[0, 0]) == pytest.approx(corner, rel=1e-12)
        assert other.get_array().sum() == pytest.approx(one.get_array().sum(), rel=1e-12)


def test_one_row_is_drawn_with_its_image_and_label() -> None:
    images = torch.rand(2, 1, 2, 2)
    figure = pictures.attribution_maps(SIGNS, images, row=1, labels=["cat", "dog"])
    assert titles(figure) == ["dog", "attributions\nsum −1.750"]
    assert len(maps(figure)) == 1
    shown = figure.axes[0].get_images()[0].get_array()
    torch.testing.assert_close(torch.as_tensor(shown.filled()).float(), images[1, 0])


@pytest.mark.parametrize(
    "images",
    [
        torch.rand(2, 2, 2),
        torch.rand(2, 1, 2, 2),
        torch.rand(2, 3, 2, 2),
        torch.randint(0, 256, (2, 3, 2, 2), dtype=torch.uint8),
    ],
    ids=["grey", "one channel", "colour", "bytes"],
)
def test_images_of_every_form_are_drawn_in_0_to_1(images: Tensor) -> None:
    figure = pictures.attribution_maps(SIGNS, images)
    shown = figure.axes[0].get_images()[0].get_array()
    assert shown.min() >= 0
    assert shown.max() <= 1
    assert shown.shape == ((2, 2, 3) if images.dim() == 4 and images.shape[1] == 3 else (2, 2))


def test_an_overlay_is_more_opaque_where_more_is_contributed() -> None:
    figure = pictures.attribution_maps(SIGNS, torch.rand(2, 2, 2), overlay=True, row=0)
    (image,) = maps(figure)
    opaque = image.get_alpha()
    assert opaque[0, 0] == 1.0
    assert opaque[1, 0] == 0.0
    assert 0 < opaque[1, 1] < 1


def test_few_values_lie_beyond_the_scale_and_the_bar_says_so() -> None:
    values = torch.ones(1, 20, 20)
    values[0, 0, 0] = 1000.0
    for limit, end, pointed in ((None, 1.0, True), (math.inf, 1000.0, False), (5.0, 5.0, True)):
        figure = pictures.attribution_maps(values, limit=limit)
        assert maps(figure)[0].get_clim() == (-end, end)
        assert (len(figure.axes[-1].patches) > 0) == pointed


def test_long_labels_go_on_in_a_new_line_and_the_figure_grows() -> None:
    long = "a label that is by far too long for one line of a panel"
    short, tall = (pictures.attribution_maps(SIGNS, labels=["a", name]) for name in ("b", long))
    (found,) = [title for title in titles(tall) if title.startswith("a label")]
    assert found.count("\n") >= 2
    assert " ".join(found.split()) == f"{long} sum −1.750"
    assert tall.get_figheight() > short.get_figheight()


@pytest.mark.parametrize("shape", [(1, 4, 40), (1, 40, 4), (9, 4, 40)])
def test_no_picture_is_wider_than_a_page_or_lower_than_its_scale(
    shape: tuple[int, ...],
) -> None:
    width, height = pictures.attribution_maps(torch.randn(shape)).get_size_inches()
    assert width <= 8.0
    assert height >= 2.0


def test_maps_of_zeros_are_white() -> None:
    (image,) = maps(pictures.attribution_maps(torch.zeros(3, 3)))
    assert colour_of(image, 0, 0).min() > 0.95


def test_templates_of_a_batch_are_those_of_a_row() -> None:
    weights = torch.randn(2, 3, 1, 4, 4, dtype=torch.float64)
    figure = pictures.templates(weights, row=1, labels=["a", "b", "c"])
    assert titles(figure) == ["a", "b", "c"]
    for image, weight in zip(maps(figure), weights[1, :, 0], strict=True):
        torch.testing.assert_close(torch.as_tensor(image.get_array().filled()), weight)


# bias maps


def test_bias_maps_add_up() -> None:
    entries = {f"layer.{n}": torch.randn(2, 3, 3, dtype=torch.float64) * n for n in range(1, 6)}
    figure = pictures.bias_maps(entries, torch.rand(2, 1, 3, 3), row=1, most=3)
    names = [title.split("\n")[0] for title in titles(figure)]
    assert names[:2] == ["image", "all together"]
    assert names[-1] == "3 others"
    whole, *parts = (image.get_array().filled() for image in maps(figure))
    expected = sum(entry[1] for entry in entries.values())
    torch.testing.assert_close(torch.as_tensor(whole), expected)
    torch.testing.assert_close(torch.as_tensor(sum(parts)), expected)


def test_bias_maps_of_a_ledger_say_what_has_no_place() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2)
    )
    affine_map = linearize(model.double(), torch.randn(2, 1, 4, 4, dtype=torch.float64))
    places, head = affine_map.bias_ledger(1).by_place((4, 4)), model[3].bias.tolist()[1]
    figure = pictures.bias_maps(places, row=1)
    drawn = float(maps(figure)[0].get_array().sum())
    found = re.fullmatch(
        r"Where b entered, over the input; without a place: (\S+) logit", figure.get_suptitle()
    )
    assert found is not None
    assert float(found[1].replace("−", "-")) == pytest.approx(head, abs=1e-4)
    assert drawn + head == pytest.approx(float(affine_map.bias(1)[1]))


def test_images_stand_above_their_maps() -> None:
    values = torch.randn(6, 3, 3)
    figure = pictures.attribution_maps(values, torch.rand(6, 3, 3))
    names = [axis.get_title().split("\n")[0] for axis in figure.axes[:-1]]
    first, rest = [f"example {n}" for n in range(4)], ["example 4", "example 5", "", ""]
    assert names == first + ["attributions"] * 4 + rest + ["attributions"] * 2 + ["", ""]


# singular directions


@pytest.fixture
def linear() -> tuple[Tensor, Any]:
    torch.manual_seed(1)
    matrix = torch.randn(5, 12, dtype=torch.float64)
    layer = nn.Linear(12, 5).double()
    layer.weight.data = matrix
    model = nn.Sequential(nn.Flatten(), layer)
    x = torch.randn(2, 1, 3, 4, dtype=torch.float64)
    return matrix, linearize(model, x).operator().svd(3)


def test_singular_directions_are_those_of_the_matrix(linear: tuple[Tensor, Any]) -> None:
    matrix, found = linear
    _, S, right = torch.linalg.svd(matrix)
    figure = pictures.singular_directions(found, row=1, labels=list("abcde"))
    assert titles(figure) == [f"v{n + 1}: s = {float(S[n]):#.4g}" for n in range(3)]
    assert len({image.get_clim() for image in maps(figure)}) == 1
    for image, vector in zip(maps(figure), right, strict=False):
        drawn = torch.as_tensor(image.get_array().filled()).flatten()
        moved = matrix @ drawn
        assert moved.abs().argmax() == moved.argmax()  # what moves most goes up
        torch.testing.assert_close(drawn, vector * torch.sign(drawn @ vector))


def test_bars_are_what_a_direction_moves(linear: tuple[Tensor, Any]) -> None:
    matrix, found = linear
    figure = pictures.singular_directions(found, labels=list("abcde"), most=5)
    direction = torch.as_tensor(maps(figure)[0].get_array().filled()).flatten()
    bars = figure.axes[3]
    drawn = {
        text.get_text().strip(): bar.get_width()
        for text, bar in zip(bars.texts, bars.patches, strict=True)
    }
    expected = dict(zip("abcde", (matrix @ direction).tolist(), strict=True))
    assert drawn == pytest.approx(expected)
    assert list(drawn.values()) == sorted(drawn.values(), reverse=True)
    for bar in bars.patches:
        assert (is_red if bar.get_width() > 0 else is_blue)(bar.get_facecolor())


# what cannot be drawn


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda: pictures.attribution_maps(torch.ones(3)),
            r"attributions must be shaped \(height, width\) or \(batch, height, width\) or "
            r"\(batch, channels, height, width\), but got \(3,\)\. Reshape it, or choose",
        ),
        (
            lambda: pictures.attribution_maps([[1.0]]),  # type: ignore[arg-type]
            r"attributions must be a tensor shaped .*, but got list\. Choose one of a "
            r"tuple by index; convert another array with torch\.as_tensor\.",
        ),
        (
            lambda: pictures.attribution_maps(torch.ones(2, 2) * 1j),
            r"attributions must be real numbers to be drawn, but got torch\.complex64\. Draw",
        ),
        (
            lambda: pictures.attribution_maps(torch.tensor([[1.0, math.nan]])),
            r"attributions must be finite to have a colour or a length, but 1 of 2 values are "
            r"NaN or infinite\. Find out where",
        ),
        (
            lambda: pictures.attribution_maps(SIGNS, row=2),
            r"row must be an int from 0 to 1, because attributions has 2 examples, but got 2\.",
        ),
        (
            lambda: pictures.attribution_maps(SIGNS, torch.rand(1, 2, 2)),
            r"images must be 2 of 2×2 with one or three channels, like the maps beside them, "
            r"but got 1 of 2×2 with 1\.",
        ),
        (
            lambda: pictures.attribution_maps(SIGNS, torch.full((2, 2, 2), -1.0)),
            r"images must lie in 0–1 to be seen as they are, but lie in -1 to -1\. Undo the "
            r"preprocessing: images \* deviation \+ mean\.",
        ),
        (
            lambda: pictures.attribution_maps(SIGNS, overlay=True),
            r"overlay=True lays the maps over images, but no images were given\. Pass them",
        ),
        (
            lambda: pictures.attribution_maps(SIGNS, labels=["one"]),
            r"labels must be 2 texts, one for each example, but got 1\. Leave them out",
        ),
        (
            lambda: pictures.attribution_maps(SIGNS, labels="ab"),
            r"labels must be 2 texts, one for each example, but got 'ab'\.",
        ),
        (
            lambda: pictures.attribution_maps(SIGNS, limit=0.0),
            r"limit must be greater than 0, because it is the end of a scale from −limit to "
            r"limit, but got 0\.0\. Leave it out, or pass math\.inf",
        ),
        (
            lambda: pictures.attribution_maps(SIGNS, block=3),
            r"block must divide 2 and 2, the height and width of the maps, so that no pixel is "
            r"left out, but got 3\.",
        ),
        (
            lambda: pictures.attribution_maps(torch.ones(65, 2, 2)),
            r"A picture has 64 panels at most, because smaller ones cannot be read, but 65 "
            r"were asked for\. Choose some of them by index\.",
        ),
        (
            lambda: pictures.templates(torch.ones(4, 4)),
            r"weights must be shaped \(targets, height, width\) or .*, but got \(4, 4\)\.",
        ),
        (
            lambda: pictures.bias_maps({"a": torch.ones(2, 2), "b": torch.ones(3, 3)}),
            r"maps must be of one size, that of the input, because they are added up, but got "
            r"2×2, 3×3\. Bring each to the input's plane first, its sum kept\.",
        ),
        (
            lambda: pictures.bias_maps({}),
            r"maps must be of one size, .*, but got none\.",
        ),
        (
            lambda: pictures.bias_maps({"conv": torch.ones(2)}),
            r"The map 'conv' must be shaped \(height, width\) or \(batch, height, width\), but",
        ),
        (
            lambda: pictures.singular_directions(
                linearize(nn.Linear(3, 2), torch.ones(1, 3)).operator().svd(1)
            ),
            r"V must be shaped \(k, batch, height, width\) or .*, but got \(1, 1, 3\)\.",
        ),
        (
            lambda: pictures.singular_directions(
                linearize(torch.add, (torch.ones(1, 2), torch.ones(1, 2))).operator().svd(1)
            ),
            r"Singular directions are drawn for one image per example, but the map has 2 "
            r"inputs\. Draw found\.V\[i\] of an image with pictures\.templates\.",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw: Any, message: str) -> None:
    with pytest.raises(PictureInputError, match=f"^{message}") as caught:
        draw()
    assert isinstance(caught.value, ValueError)
