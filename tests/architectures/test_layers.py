"""Layers as modules, in the forms that networks use them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils import weight_norm as old_weight_norm

from captum_ilin import linearize
from tests.architectures.exactness import check_network


def sized(dims: int) -> Tensor:
    return torch.randn(2, 4, *(6, 6, 4)[:dims], dtype=torch.float64)


CONVOLUTIONS = [
    nn.Conv1d(4, 4, 3, padding="same", dilation=2, padding_mode="circular"),
    nn.Conv2d(4, 4, 3, padding=1, groups=2, stride=2, padding_mode="reflect"),
    nn.Conv3d(4, 4, 2, padding=1, padding_mode="replicate"),
    nn.LazyConv1d(3, 2, stride=2),
    nn.LazyConv2d(3, 2),
    nn.LazyConv3d(3, 3, padding="same"),
    nn.ConvTranspose1d(4, 3, 3, stride=3, output_padding=2),
    nn.ConvTranspose2d(4, 4, 3, stride=2, output_padding=1, groups=4),
    nn.LazyConvTranspose3d(2, 2, stride=2, dilation=2),
]


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=lambda layer: type(layer).__name__)
def test_convolutions(layer: nn.Module) -> None:
    x = sized(int(type(layer).__name__[-2]))
    layer(x.float())  # lazy layers learn their shapes here
    network = nn.Sequential(layer, nn.LeakyReLU(0.1)).double()
    check_network(network, x, piecewise=True)


POOLS = [
    (1, nn.MaxPool1d(3, 1, 1, dilation=2)),
    (2, nn.MaxPool2d((3, 2), (1, 2), ceil_mode=True)),
    (3, nn.MaxPool3d(2, 1)),
    (1, nn.AvgPool1d(3, 2, 1, ceil_mode=True, count_include_pad=False)),
    (2, nn.AvgPool2d(3, 2, 1, ceil_mode=True, divisor_override=4)),
    (3, nn.AvgPool3d(2, 1, 1, count_include_pad=False)),
    (1, nn.AdaptiveMaxPool1d(4)),
    (2, nn.AdaptiveMaxPool2d((4, None))),
    (3, nn.AdaptiveMaxPool3d((2, 4, 3))),
    (2, nn.AdaptiveAvgPool2d((4, 5))),
    (3, nn.AdaptiveAvgPool3d((2, 4, 3))),
    (2, nn.Upsample(scale_factor=1.5, mode="bicubic")),
    (2, nn.ReflectionPad2d((1, 2, 0, 1))),
    (3, nn.ZeroPad3d(1)),
    (1, nn.ConstantPad1d((1, 2), 0.7)),
    (3, nn.CircularPad3d(1)),
    (2, nn.ReplicationPad2d(1)),
    (2, nn.PReLU(4)),
    (1, nn.PReLU()),
    (2, nn.RReLU()),
    (2, nn.Softmax2d()),
    (2, nn.LocalResponseNorm(3)),
    (2, nn.PixelShuffle(2)),
    (2, nn.PixelUnshuffle(3)),
    (2, nn.ChannelShuffle(2)),
    (2, nn.Unfold(3, padding=1, stride=2)),
    (2, nn.LPPool2d(3, 2)),
    (1, nn.LPPool1d(1, 2)),
]
IDS = [type(layer).__name__ for _, layer in POOLS]


@pytest.mark.parametrize(("dims", "layer"), POOLS, ids=IDS)
def test_layers_without_weights(dims: int, layer: nn.Module) -> None:
    x = sized(dims)
    check_network(nn.Sequential(layer.eval(), nn.Flatten()).double(), x.abs() + x / 2)


class Unpooling(nn.Module):
    """Max pooling whose indices put the values back."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.pool = getattr(nn, f"MaxPool{dims}d")(2, return_indices=True)
        self.unpool = getattr(nn, f"MaxUnpool{dims}d")(2)

    def forward(self, x: Tensor) -> Tensor:
        pooled, indices = self.pool(x)
        return self.unpool(pooled * 2 + 1, indices, output_size=x.size()[2:]) + x


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_unpooling(dims: int) -> None:
    check_network(Unpooling(dims), sized(dims), piecewise=True)


@pytest.mark.parametrize("dims", [2, 3])
def test_fractional_pooling_with_given_and_drawn_samples(dims: int) -> None:
    pool = getattr(nn, f"FractionalMaxPool{dims}d")
    samples = torch.rand(2, 4, dims, dtype=torch.float64)
    x = sized(dims)
    check_network(pool(2, output_ratio=0.5, _random_samples=samples), x, piecewise=True)
    torch.manual_seed(1)
    drawn = linearize(pool(2, output_ratio=0.5), x).outputs
    torch.manual_seed(1)
    assert torch.equal(drawn, pool(2, output_ratio=0.5)(x))


class Rotated(nn.Module):
    """A parametrization: the matrix exponential of an antisymmetric matrix."""

    def forward(self, weight: Tensor) -> Tensor:
        return torch.matrix_exp(weight.triu(1) - weight.triu(1).mT)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated")
def test_parametrized_weights_are_constants() -> None:
    layers = [nn.Linear(4, 4) for _ in range(6)]
    old_weight_norm(layers[0])
    parametrizations.weight_norm(layers[1], dim=None)
    parametrizations.spectral_norm(layers[2])
    parametrizations.orthogonal(layers[3])
    parametrize.register_parametrization(layers[4], "weight", Rotated())
    nn.utils.spectral_norm(layers[5])
    network = nn.Sequential(*[m for layer in layers for m in (layer, nn.ReLU())])
    network = network.double().eval()
    x = torch.randn(3, 4, dtype=torch.float64)
    affine_map = check_network(network, x, piecewise=True)
    ledger = affine_map.bias_ledger(target=0)
    assert {site.op for site in ledger} <= {"linear"}


class SpatialTransformer(nn.Module):
    """Spatial transformer (Jaderberg et al. 2015): the grid depends on the image."""

    def __init__(self) -> None:
        super().__init__()
        self.localize = nn.Sequential(nn.Flatten(), nn.Linear(32, 6), nn.Tanh())
        nn.init.normal_(self.localize[1].weight, std=0.05)

    def forward(self, x: Tensor) -> Tensor:
        return F.grid_sample(x, self.grid(x), align_corners=False)

    def grid(self, x: Tensor) -> Tensor:
        theta = self.localize(x).view(-1, 2, 3) * 0.3 + torch.eye(2, 3, dtype=x.dtype)
        return F.affine_grid(theta, list(x.shape), align_corners=False)


def test_spatial_transformer_holds_its_grid() -> None:
    network, x = SpatialTransformer().double(), torch.randn(2, 2, 4, 4, dtype=torch.float64)
    weight = check_network(network, x).weight()
    assert isinstance(weight, Tensor)
    grid = network.grid(x).detach()
    for row in range(2):
        slope = torch.autograd.functional.jacobian(
            lambda image, g=grid[row : row + 1]: F.grid_sample(image, g, align_corners=False),
            x[row : row + 1],
        )
        assert torch.allclose(weight[row], slope[0, ..., 0, :, :, :], atol=1e-13)


class Deformable(nn.Module):
    """Bilinear reads at offsets from a convolution, by floor and four gathers."""

    def __init__(self) -> None:
        super().__init__()
        self.offset, self.mix = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        rows, columns = torch.meshgrid(
            *(torch.arange(n, dtype=x.dtype) for n in (height, width)), indexing="ij"
        )
        offset = self.offset(x)
        p, q = rows + offset[:, 0], columns + offset[:, 1]
        p0, q0 = p.floor(), q.floor()
        total = 0
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = (1 - (p - p0 - i).abs()) * (1 - (q - q0 - j).abs())
            total = total + share.unsqueeze(1) * self.read(x, p0 + i, q0 + j)
        return self.mix(total)

    def read(self, x: Tensor, row: Tensor, column: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        at = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
        at = at.flatten(1).unsqueeze(1).expand(-1, x.shape[1], -1)
        return x.flatten(2).gather(2, at).view_as(x)


def test_deformable_convolution_written_out() -> None:
    network = Deformable().double()
    check_network(network, torch.randn(2, 2, 5, 5, dtype=torch.float64))
