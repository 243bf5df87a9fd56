"""b by place and by token: where on the input's plane, or in the sequence, constants count.

The references know nothing of a ledger: in a ReLU network what a constant gives at a place is
the plain network's own gradient there, times the constant; cells are laid over pixels by
exact fractions, one by one.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import (
    BiasMap,
    LedgerError,
    Site,
    by_definition,
    channels_first,
    channels_last,
    linearize,
)
from captum_ilin.spreading import spread
from tests.fingerprint import untouched
from tests.networks import ConvNet, TinyTransformer, relu_mlp, residual_convnet
from tests.test_biasmaps import constant

ROUNDING = {"rtol": 1e-12, "atol": 1e-13}


# cells over pixels


def laid_over(cells: Tensor, size: tuple[int, ...]) -> Tensor:
    """Each cell's value shared among the pixels by exact lengths, one cell at a time."""
    found = torch.zeros(size, dtype=torch.float64)
    for cell in product(*map(range, cells.shape)):
        shares = map(pixels_of, cell, cells.shape, size)
        for pixel in product(*(share.items() for share in shares)):
            part = 1.0
            for _, length in pixel:
                part *= float(length)
            found[tuple(place for place, _ in pixel)] += part * cells[cell]
    return found


def pixels_of(cell: int, of: int, to: int) -> dict[int, Fraction]:
    """Pixel → the part of the cell, one of ``of``, that lies in it, one of ``to``."""
    parts = {}
    for pixel in range(to):
        start = max(Fraction(cell, of), Fraction(pixel, to))
        end = min(Fraction(cell + 1, of), Fraction(pixel + 1, to))
        if end > start:
            parts[pixel] = (end - start) * of
    return parts


SIZES = [((3, 4), (6, 8)), ((3, 4), (7, 5)), ((8, 9), (3, 2)), ((1, 1), (4, 5))]
SIZES += [((5,), (12,)), ((2, 3, 2), (3, 5, 4)), ((4, 4), (4, 4))]


@pytest.mark.parametrize(("of", "to"), SIZES)
def test_cells_are_shared_by_what_lies_in_each_pixel(of: Any, to: Any) -> None:
    cells = torch.randn(of, dtype=torch.float64)
    torch.testing.assert_close(spread(cells, to), laid_over(cells, to), **ROUNDING)


def assert_sum_is_kept(resize: Any, of: tuple[int, ...], to: tuple[int, ...]) -> None:
    """Of every cell alone, so that errors cannot cancel."""
    for cell in range(torch.Size(of).numel()):
        cells = torch.zeros(of, dtype=torch.float64)
        cells.view(-1)[cell] = 1.0
        assert float(resize(cells, to).sum()) == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize(("of", "to"), SIZES)
def test_the_sum_of_every_cell_is_kept(of: Any, to: Any, smooth: bool) -> None:
    assert_sum_is_kept(lambda cells, size: spread(cells, size, smooth=smooth), of, to)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "area"])
def test_a_resize_that_does_not_keep_it_would_be_noticed(mode: str) -> None:
    def resize(cells: Tensor, size: tuple[int, ...]) -> Tensor:
        found = F.interpolate(cells[None, None], size, mode=mode)[0, 0]
        return found * cells.numel() / found.numel()  # right on average

    with pytest.raises(AssertionError):
        assert_sum_is_kept(resize, (3, 4), (7, 5))


def test_smooth_cells_are_interpolated_between_their_middles() -> None:
    """Three cells over six pixels, by hand: each cell's weights divided by their sum."""
    weights = torch.tensor([[1, 0.75, 0.25, 0, 0, 0], [0, 0.25, 0.75, 0.75, 0.25, 0]])
    for cell, expected in enumerate(weights.double()):
        cells = torch.eye(3, dtype=torch.float64)[cell]
        kept = expected if cell else torch.tensor([0.75, 0.75, 0.25, 0, 0, 0]).double()
        found = spread(cells, (6,), smooth=True)
        torch.testing.assert_close(found, kept / kept.sum(), **ROUNDING)


# images


def by_activation(network: nn.Module, x: Tensor, target: int) -> dict[str, list[Tensor]]:
    """Module path → each row's plane of what its constants give, of a ReLU network."""
    planes: dict[str, list[Tensor]] = {}
    outputs: dict[str, Tensor] = {}
    kinds = (nn.Conv2d, nn.BatchNorm2d)
    handles = [
        module.register_forward_hook(
            lambda m, a, y, path=path: outputs.__setitem__(path, y) or y.clone()
        )
        for path, module in network.named_modules()
        if isinstance(module, kinds)
    ]
    values = network(x)
    for handle in handles:
        handle.remove()
    for path, output in outputs.items():
        added = constant(network.get_submodule(path)).detach()[:, None, None]
        for row in values[:, target]:
            (gradient,) = torch.autograd.grad(row, output, retain_graph=True)
            planes.setdefault(path, []).append((gradient * added).sum((0, 1)))
    return planes


@pytest.mark.parametrize("make", [ConvNet, residual_convnet])
@pytest.mark.parametrize("rows", [1, 3])
def test_planes_are_what_the_gradients_give(make: Any, rows: int) -> None:
    network, x = make(), torch.randn(rows, 3, 12, 12, dtype=torch.float64)
    expected = by_activation(network, x, 1)
    found = linearize(network, x).bias_ledger(1).by_place((12, 12))
    by_module = found.by_module()
    assert by_module.keys() == expected.keys()
    for path, planes in expected.items():
        for row, plane in enumerate(planes):
            wanted = laid_over(plane, (12, 12))
            torch.testing.assert_close(by_module[path][row], wanted, **ROUNDING)


def assert_complete(found: BiasMap, bias: Tensor) -> None:
    total = found.total.flatten(1).sum(1) + found.rest
    torch.testing.assert_close(total, bias, rtol=1e-12, atol=1e-14)
    placed = sum(found.placed.values(), start=torch.zeros_like(found.total))
    torch.testing.assert_close(placed, found.total, **ROUNDING)
    unplaced = sum(found.unplaced.values(), start=torch.zeros_like(found.rest))
    torch.testing.assert_close(unplaced, found.rest, **ROUNDING)
    for depth in (0, 1, None):
        maps = found.by_module(depth).values()
        torch.testing.assert_close(sum(maps), found.total, **ROUNDING)


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("size", [(12, 12), (5, 31), (1, 1)])
def test_map_and_rest_are_the_bias(size: tuple[int, int], smooth: bool) -> None:
    network, x = ConvNet(), torch.randn(3, 3, 12, 12, dtype=torch.float64)
    affine_map = linearize(network, x)
    found = affine_map.bias_ledger([0, 2, 1]).by_place(size, smooth=smooth)
    assert found.total.shape == (3, *size)
    assert_complete(found, affine_map.bias([0, 2, 1]))
    assert list(found.unplaced) == [("head", "linear")]
    by_site = affine_map.bias_ledger([0, 2, 1]).by_module()
    torch.testing.assert_close(found.rest, by_site["head"], **ROUNDING)


def test_a_row_alone_has_the_same_map() -> None:
    network, x = ConvNet(), torch.randn(3, 3, 12, 12, dtype=torch.float64)
    together = linearize(network, x).bias_ledger(1).by_place((12, 12)).total
    for row in range(3):
        alone = linearize(network, x[row : row + 1]).bias_ledger(1).by_place((12, 12)).total
        torch.testing.assert_close(together[row], alone[0], **ROUNDING)
        chosen = linearize(network, x).bias_ledger(1, row=row).by_place((12, 12)).total
        torch.testing.assert_close(together[row], chosen[0], **ROUNDING)
    assert (together[0] - together[1]).abs().max() > 1e-3


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_planes_of_any_number_of_dimensions(dims: int) -> None:
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1](2, 3, 2)
    network = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.LazyLinear(1)).double()
    x = torch.randn(2, 2, *(5,) * dims, dtype=torch.float64)
    network(x)
    affine_map = linearize(network, x)
    found = affine_map.bias_ledger().by_place(x.shape[2:])
    assert found.total.shape == (2, *(5,) * dims)
    assert list(found.placed) == [("0", f"conv{dims}d")]
    assert_complete(found, affine_map.bias())
    elsewhere = affine_map.bias_ledger().by_place((5,) * (dims % 3 + 1))
    assert not elsewhere.placed
    torch.testing.assert_close(elsewhere.rest, affine_map.bias(), **ROUNDING)


def test_a_convolution_of_one_example_without_a_batch() -> None:
    """Frames as the batch, one by one: the places are the last dimensions all the same."""
    conv = nn.Conv2d(1, 2, 2).double()
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    affine_map = linearize(lambda x: torch.stack([conv(f).relu().sum() for f in x]), x)
    found = affine_map.bias_ledger().by_place((4, 4))
    assert not found.unplaced
    for row, frame in enumerate(x):
        plane = ((conv(frame) > 0) * conv.bias.detach()[:, None, None]).sum(0)
        torch.testing.assert_close(found.total[row], laid_over(plane, (4, 4)), **ROUNDING)


class ChannelsLast(nn.Module):
    """As ConvNeXt: a convolution, then a norm and a layer with the channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 4, 2, stride=2), nn.LayerNorm(4)
        self.mix, self.head = nn.Linear(4, 4), nn.Linear(4, 3)
        nn.init.normal_(self.norm.bias)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.stem(x).permute(0, 2, 3, 1))
        return self.head(self.mix(y).relu().mean((1, 2)))


def last(site: Site, entry: Tensor) -> Tensor | None:
    if site.op_name in {"linear", "layer_norm"}:
        return channels_last(site, entry)
    return by_definition(site, entry)


def test_channels_last_where_it_is_stated() -> None:
    network, x = ChannelsLast(), torch.randn(2, 1, 8, 8, dtype=torch.float64)
    affine_map = linearize(network, x)
    ledger = affine_map.bias_ledger(0)
    quiet, stated = ledger.by_place((8, 8)), ledger.by_place((8, 8), layout=last)
    assert list(quiet.placed) == [("stem", "conv2d")]
    assert list(stated.unplaced) == [("head", "linear")]
    for found in (quiet, stated):
        assert_complete(found, affine_map.bias(0))
    mixed = network.mix(network.norm(network.stem(x).permute(0, 2, 3, 1))).detach()
    gradient = (mixed > 0) * network.head.weight[0].detach() / 16
    for row in range(2):
        plane = (gradient[row] * network.mix.bias.detach()).sum(-1)
        expected = laid_over(plane, (8, 8))
        torch.testing.assert_close(stated.by_module()["mix"][row], expected, **ROUNDING)


def test_an_elementwise_op_has_places_only_where_they_are_stated() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU6(), nn.Flatten(), nn.Linear(8, 1))
    x = 99 * torch.randn(1, 1, 4, 4, dtype=torch.float64)
    ledger = linearize(network.double(), x).bias_ledger()
    assert ("1", "hardtanh") in ledger.by_place((4, 4)).unplaced
    stated = ledger.by_place((4, 4), layout=channels_first)
    assert ("1", "hardtanh") in stated.placed
    assert list(stated.unplaced) == [("3", "linear")]


def test_an_mlp_has_no_places() -> None:
    affine_map = linearize(relu_mlp(3, 6, 4), torch.randn(2, 3, dtype=torch.float64))
    found = affine_map.bias_ledger(0).by_place((2, 2))
    assert repr(found) == "BiasMap(2 rows of (2, 2), 0 entries placed, 2 in the rest)"
    assert not found.total.any()
    assert found.by_module() == {}


# tokens


class Tokens(nn.Module):
    """Tokens mixed by a matrix, each then by layers of their own; ReLU throughout."""

    def __init__(self, *, sequence_first: bool = False, flat: bool = False) -> None:
        super().__init__()
        self.up, self.down, self.head = nn.Linear(4, 6), nn.Linear(6, 4), nn.Linear(4, 3)
        self.mix = nn.Parameter(torch.randn(5, 5))
        self.sequence_first, self.flat = sequence_first, flat
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.layers(x)
        return self.head((self.mix @ hidden).relu().mean(1))

    def layers(self, x: Tensor) -> Tensor:
        if self.sequence_first:
            return self.down(self.up(x.transpose(0, 1)).relu()).transpose(0, 1)
        if self.flat:
            return self.down(self.up(x.reshape(-1, 4)).relu()).unflatten(0, (-1, 5))
        return self.down(self.up(x).relu())


def tokens_of_down(network: Tokens, x: Tensor, target: int) -> Tensor:
    """What the bias of ``down`` gives at each token of each row, (rows, 5)."""
    hidden = network.layers(x).detach().requires_grad_()
    output = network.head((network.mix @ hidden).relu().mean(1))[:, target]
    (gradient,) = torch.autograd.grad(output.sum(), hidden)
    return (gradient * network.down.bias.detach()).sum(2)


FLAT = {"flat": True}
TOKENS: dict[str, tuple[dict[str, bool], Any]] = {
    "batch first": ({}, 1),
    "counted from the end": ({}, -2),
    "sequence first": ({"sequence_first": True}, 0),
    "flat": (
        FLAT,
        lambda s, e: e.reshape(-1, 5, e.shape[1]).sum((0, 2)) if len(e) > 3 else None,
    ),
}


@pytest.mark.parametrize(("options", "layout"), TOKENS.values(), ids=list(TOKENS))
@pytest.mark.parametrize("rows", [1, 3, 5])
def test_tokens_are_where_they_are_stated(options: Any, layout: Any, rows: int) -> None:
    if options == FLAT and rows == 5:
        rows = 2  # `layout` tells the head from the others by its rows
    network, x = Tokens(**options), torch.randn(rows, 5, 4, dtype=torch.float64)
    affine_map = linearize(network, x)
    found = affine_map.bias_ledger(1).by_token(5, layout=layout)
    assert list(found.placed) == [("up", "linear"), ("down", "linear")]
    assert list(found.unplaced) == [("head", "linear")]
    assert_complete(found, affine_map.bias(1))
    expected = tokens_of_down(network, x, 1)
    torch.testing.assert_close(found.by_module()["down"], expected, **ROUNDING)


def test_attention_keeps_its_tokens_elsewhere() -> None:
    """PyTorch's own attention works sequence-first, also inside a batch-first network."""
    network = TinyTransformer(batch_first=True)
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    affine_map = linearize(network, x)
    ledger = affine_map.bias_ledger(0)
    found = ledger.by_token(5, layout=1)
    assert {site.module.split(".")[-1] for site in found.unplaced} == {"self_attn", "head"}
    assert_complete(found, affine_map.bias(0))

    def layout(site: Site, entry: Tensor) -> Tensor | None:
        if entry.dim() < 3:
            return None
        return entry.sum((1, 2) if site.module.endswith("self_attn") else (0, 2))

    stated = ledger.by_token(5, layout=layout)
    assert list(stated.unplaced) == [("head", "linear")]
    assert_complete(stated, affine_map.bias(0))
    for row in range(3):
        alone = linearize(network, x[row : row + 1]).bias_ledger(0)
        expected = alone.by_token(5, layout=layout).total
        torch.testing.assert_close(stated.total[row], expected[0], **ROUNDING)


def test_heads_of_attention() -> None:
    """(batch, heads, tokens, head features), where the user says so."""
    table = torch.randn(2, 5, 4, dtype=torch.float64)
    x = torch.randn(3, 5, 8, dtype=torch.float64)

    def model(x: Tensor) -> Tensor:
        return (x.unflatten(2, (2, 4)).transpose(1, 2) + table).sum((1, 2, 3))

    found = linearize(model, x).bias_ledger().by_token(5, layout=lambda s, e: e.sum((0, 1, 3)))
    torch.testing.assert_close(found.total, table.sum((0, 2)).expand(3, 5), **ROUNDING)
    assert not found.rest.any()


def test_without_constants_there_is_nothing_at_any_token() -> None:
    network = nn.Linear(4, 1, bias=False).double()
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    found = linearize(lambda x: network(x).sum((1, 2)), x).bias_ledger().by_token(5, layout=1)
    assert not found.total.any()
    assert found.placed == found.unplaced == {}


def test_nothing_is_left_behind() -> None:
    network, x = ConvNet(), torch.randn(2, 3, 12, 12, dtype=torch.float64)
    with untouched(network, x), torch.no_grad():
        linearize(network, x).bias_ledger(0).by_place((12, 12), smooth=True)
    with untouched(network, x), pytest.raises(LedgerError):
        linearize(network, x).bias_ledger(0).by_place((12, 12), layout=lambda s, e: 3)


# bad input


@pytest.fixture
def ledger() -> Any:
    return linearize(Tokens(), torch.randn(2, 5, 4, dtype=torch.float64)).bias_ledger(0)


@pytest.mark.parametrize(
    ("size", "got"),
    [
        ((0, 4), r"\(0, 4\)"),
        ((4, -1), r"\(4, -1\)"),
        ((4.0, 4), r"\(4\.0, 4\)"),
        ((True, 4), r"\(True, 4\)"),
        ((), r"\(\)"),
        (12, "12"),
        ("12", "'12'"),
    ],
)
def test_a_size_that_is_none(ledger: Any, size: Any, got: str) -> None:
    with pytest.raises(
        LedgerError,
        match=rf"^size must be ints >= 1, one for each dimension, but got {got}\. Pass",
    ):
        ledger.by_place(size)


@pytest.mark.parametrize("tokens", [0, -2, 2.0, True])
def test_a_number_of_tokens_that_is_none(ledger: Any, tokens: Any) -> None:
    with pytest.raises(
        LedgerError, match=rf"^tokens must be an int >= 1, but got {tokens!r}\.$"
    ):
        ledger.by_token(tokens, layout=1)


@pytest.mark.parametrize("layout", [3, -4, True, 1.0, None])
def test_a_dimension_that_entries_lack(ledger: Any, layout: Any) -> None:
    with pytest.raises(
        LedgerError,
        match=r"^layout must be a function, or a dimension of entries \(batch, tokens, "
        rf"features\), from -3 to 2, but got {layout!r}\. Pass 1 for that order, 0 for seq",
    ):
        ledger.by_token(5, layout=layout)


@pytest.mark.parametrize(("tokens", "layout"), [(7, 1), (5, 0)])
def test_tokens_that_no_entry_has(ledger: Any, tokens: int, layout: int) -> None:
    with pytest.raises(
        LedgerError,
        match=rf"^No entry has three dimensions with {tokens} tokens at dimension {layout}: "
        r"linear in 'up' \(2, 5, 6\), linear in 'down' \(2, 5, 4\), linear in 'head' \(2, 3\)"
        r"\. Pass the dimension, or a function",
    ):
        ledger.by_token(tokens, layout=layout)


def test_of_many_entries_some_are_named() -> None:
    network, x = relu_mlp(*(3,) * 7), torch.randn(2, 3, dtype=torch.float64)
    with pytest.raises(
        LedgerError, match=r"linear in '6' \(2, 3\) and 2 more\. Pass the dimension"
    ):
        linearize(network, x).bias_ledger(0).by_token(3, layout=1)


def test_the_batch_taken_for_the_tokens() -> None:
    network = Tokens(sequence_first=True)
    ledger = linearize(network, torch.randn(5, 5, 4, dtype=torch.float64)).bias_ledger(0)
    with pytest.raises(
        LedgerError,
        match=r"^Dimension 1 of linear in 'up' \(5, 5, 6\) seems to be the batch, not the "
        r"tokens: row i has contributions at place i only, and there are as many rows as "
        r"tokens, 5\. Pass a function",
    ):
        ledger.by_token(5, layout=1)
    assert ledger.by_token(5, layout=0).placed


def test_a_layout_that_returns_no_tensor(ledger: Any) -> None:
    with pytest.raises(
        LedgerError,
        match=r"^The layout returned a int for linear in 'up'; expected a tensor, or None",
    ):
        ledger.by_place((5,), layout=lambda site, entry: 3)


def test_a_layout_that_loses_something(ledger: Any) -> None:
    with pytest.raises(
        LedgerError,
        match=r"^The layout must keep the sum of the entry linear in 'up', -?[\d.]+, but what "
        r"it returned sums to -?[\d.]+\. Sum over what is not a place",
    ):
        ledger.by_place((5,), layout=lambda site, entry: entry.mean((0, 2)))


def test_a_layout_of_other_tokens(ledger: Any) -> None:
    with pytest.raises(
        LedgerError,
        match=r"^The layout must return one number for each of the 5 tokens, but for linear "
        r"in 'up' \(2, 5, 6\) it returned \(6,\)\. Sum over everything else, or return None",
    ):
        ledger.by_token(5, layout=lambda site, entry: entry.sum((0, 1)))
