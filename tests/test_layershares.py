"""``AffineMap.shares``: an output split among layers, against sums written by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import captum_ilin.passage
from captum_ilin import LayerError, LayerShares, MissingTargetError, linearize
from tests.fingerprint import untouched
from tests.networks import ConvNet, TinyTransformer, relu_mlp

ROUNDING = {"rtol": 1e-11, "atol": 1e-12}  # float64, sums of some hundred products


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


class Stream(nn.Module):
    """A residual stream that two branches read from and add to."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 4))
        self.second = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 4))
        self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 3)
        for parameter in self.parameters():
            nn.init.normal_(parameter)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.first(x)
        x = x + self.second(x)
        return self.head(self.norm(x))


def by_hand(model: Stream, x: Tensor, target: int) -> tuple[Tensor, ...]:
    """Norm and head are affine, the scale held: each term of the stream goes in by itself."""
    with torch.no_grad():
        first = model.first(x)
        second = model.second(x + first)
        stream = x + first + second
        scale = (stream.var(-1, correction=0, keepdim=True) + model.norm.eps).sqrt()

        def read(term: Tensor) -> Tensor:
            centred = (term - term.mean(-1, keepdim=True)) / scale
            return F.linear(centred * model.norm.weight, model.head.weight)[:, target]

        constant = model.head(model.norm.bias)[target].expand(len(x))
        return read(first), read(second), read(x), constant


def assert_shares(shares: LayerShares, model: Stream, x: Tensor) -> None:
    first, second, features, constant = by_hand(model, x, 1)
    torch.testing.assert_close(shares.direct, torch.stack([first, second]), **ROUNDING)
    torch.testing.assert_close(shares.around_features, features, **ROUNDING)
    torch.testing.assert_close(shares.around_bias, constant, **ROUNDING)


def test_branches_of_a_residual_stream() -> None:
    model, x = Stream(), double(5, 4)
    with untouched(model, x):
        shares = linearize(model, x).shares(["first", "second"], target=1)
    assert shares.paths == ("first", "second")
    assert not any(value.requires_grad for value in shares[1:])
    assert_shares(shares, model, x)
    torch.testing.assert_close(shares.total, model(x)[:, 1], **ROUNDING)


def test_one_layer_s_share_is_what_passes_through_it() -> None:
    model, x = Stream(), double(5, 4)
    affine_map = linearize(model, x)
    shares, found = affine_map.shares(["first"], 1), affine_map.layer("first").contributions(1)
    torch.testing.assert_close(shares.direct[0], found.through, **ROUNDING)
    torch.testing.assert_close(shares.around_features, found.around_features, **ROUNDING)
    torch.testing.assert_close(shares.around_bias, found.around_bias, **ROUNDING)


def test_of_a_chain_the_last_layer_has_it_all() -> None:
    network, x = relu_mlp(3, 6, 7, 5), double(4, 3)
    shares = linearize(network, x).shares(["3", "0", "1"], 2)
    assert shares.paths == ("3", "0", "1")
    assert not torch.count_nonzero(shares.direct[1:])
    assert not torch.count_nonzero(shares.around_features)
    torch.testing.assert_close(shares.around_bias, network[4].bias[2].expand(4).detach())
    torch.testing.assert_close(shares.total, network(x)[:, 2], **ROUNDING)


@pytest.mark.parametrize("batch_first", [True, False])
def test_branches_of_a_transformer(batch_first: bool) -> None:
    model, x = TinyTransformer(batch_first=batch_first), double(2, 5, 8)
    branches = ("self_attn", "dropout2")  # dropout2 hands on what linear2 makes
    paths = [f"layers.layers.{number}.{branch}" for number in (0, 1) for branch in branches]
    shares = linearize(model, x).shares(paths, 1)
    assert all(torch.count_nonzero(share) for share in shares[1:])
    torch.testing.assert_close(shares.total, model(x)[:, 1], **ROUNDING)
    stream = (x @ model.head.weight[1]).mean(1)  # the residual path itself
    torch.testing.assert_close(shares.around_features, stream.detach(), **ROUNDING)


def test_what_goes_into_layers() -> None:
    model, x = Stream(), double(5, 4)
    shares = linearize(model, x).shares(["second", "head"], 1, at_input=True)
    assert not torch.count_nonzero(shares.direct[0])
    torch.testing.assert_close(shares.around_bias, model.head.bias[1].expand(5).detach())
    torch.testing.assert_close(shares.total, model(x)[:, 1], **ROUNDING)


def test_without_closing_the_layers_it_does_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = Stream(), double(5, 4)
    monkeypatch.setattr(captum_ilin.passage, "_nothing", lambda gradients: gradients)
    shares = linearize(model, x).shares(["first", "second"], target=1)
    with pytest.raises(AssertionError):
        assert_shares(shares, model, x)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(shares.total, model(x)[:, 1], **ROUNDING)


def test_bad_input() -> None:
    model, x = ConvNet(), double(1, 3, 12, 12)
    affine_map = linearize(model, x)
    with pytest.raises(LayerError) as error:
        affine_map.shares([], 1)
    assert str(error.value) == (
        "paths is empty: there are no layers to split the output among. Pass the modules that "
        "add to the output, such as residual branches."
    )
    with pytest.raises(LayerError, match=r"The layer 'relu' \(ReLU\) is called 2 times"):
        affine_map.shares(["first", "relu"], 1)
    with pytest.raises(LayerError, match="There is no layer 'frst' in the model"):
        affine_map.shares(["frst"], 1)
    with pytest.raises(MissingTargetError, match="No target was given"):
        affine_map.shares(["first"])
