"""Image networks: skips, squeezes, attention over channels and places, neural operators."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.architectures.exactness import check_network


def images() -> Tensor:
    return torch.randn(2, 4, 4, 4, dtype=torch.float64)


class Dense(nn.Module):
    """Dense connections (Huang et al. 2017): each layer reads everything before it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(4 + 2 * i, 2, 3, padding=1) for i in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 + 2 * i) for i in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = torch.cat([x, layer(F.relu(norm(x), inplace=True))], 1)
        return x.mean((2, 3))


class UNet(nn.Module):
    """Down, up by a transposed convolution, and a skip (Ronneberger et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.deep = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.up, self.out = nn.ConvTranspose2d(6, 4, 2, stride=2), nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = F.relu(self.enter(x))
        deep = F.relu(self.deep(F.max_pool2d(skip, 2)), inplace=True)
        return self.out(torch.cat([skip, self.up(deep)], 1))


class SqueezeExcite(nn.Module):
    """Channels scaled by a gate of their means (Hu et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1)

    def gate(self, x: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(x, 1)
        return torch.sigmoid(self.excite(F.relu(self.squeeze(pooled))))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class BlockAttention(nn.Module):
    """CBAM (Woo et al. 2018): channel attention, then spatial attention."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 4))
        self.place = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        channel = torch.sigmoid(self.shared(x.mean((2, 3))) + self.shared(x.amax((2, 3))))
        x = x * channel[:, :, None, None]
        pooled = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True).values], 1)
        return x * torch.sigmoid(self.place(pooled))


class NonLocal(nn.Module):
    """A non-local block (Wang et al. 2018) with a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(4, 4, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (f(x).flatten(2) for f in (self.query, self.key, self.value))
        pattern = torch.softmax(torch.bmm(query.mT, key) / 2, -1)
        return x + torch.bmm(value, pattern.mT).view_as(x)


class FourierOperator(nn.Module):
    """A Fourier neural operator layer (Li et al. 2021): low modes mixed by complex weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 2, 2, dtype=torch.cdouble))
        self.local = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x)
        mixed = torch.zeros(len(x), 3, 4, 3, dtype=spectrum.dtype)
        mixed[:, :, :2, :2] = torch.einsum(
            "bixy,ioxy->boxy", spectrum[:, :, :2, :2], self.weight
        )
        return F.gelu(torch.fft.irfft2(mixed, s=x.shape[-2:]) + self.local(x))


class Capsules(nn.Module):
    """Two routing iterations and the squash (Sabour et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 16, 2) / 4)

    def forward(self, x: Tensor) -> Tensor:
        votes = torch.einsum("bif,iofd->biod", x.flatten(2), self.weight)
        logits = torch.zeros(votes.shape[:3], dtype=x.dtype)
        for _ in range(2):
            outputs = self.squash((torch.softmax(logits, 2).unsqueeze(3) * votes).sum(1))
            logits = logits + (votes * outputs.unsqueeze(1)).sum(3)
        return outputs

    def squash(self, s: Tensor) -> Tensor:
        square = (s**2).sum(-1, keepdim=True)
        return square / (1 + square) * s / torch.sqrt(square + 1e-8)


class Inplace(nn.Module):
    """Residual blocks in which everything that can writes in place."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout2d(0.5, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            y = self.drop(layer(x))
            y += x
            x = self.relu(y)
        x = x + 0.1
        x[:, 0].mul_(2).add_(0.5)
        x.clamp_(max=3.0)
        return x.sub_(x.mean((2, 3), keepdim=True))


NETWORKS = [
    *(Dense, UNet, SqueezeExcite, BlockAttention, NonLocal, FourierOperator, Capsules, Inplace),
]
PIECEWISE = Dense, UNet, Inplace


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_image_networks(network: type[nn.Module]) -> None:
    made = network().double().eval()
    check_network(made, images(), piecewise=network in PIECEWISE)


def test_squeeze_excite_holds_its_gate() -> None:
    network, x = SqueezeExcite().double(), images()
    weight = check_network(network, x).weight()
    with torch.no_grad():
        gate = network.gate(x).flatten()
    expected = torch.diag_embed(gate.repeat_interleave(16).view(2, -1))
    assert torch.allclose(weight.reshape(2, 64, 64), expected, atol=1e-14)


class Detector(nn.Module):
    """Pieces of torchvision that act in training only, or have constant statistics."""

    def __init__(self) -> None:
        super().__init__()
        ops = pytest.importorskip("torchvision.ops", reason="torchvision is not installed")
        self.layers = nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1),
            ops.FrozenBatchNorm2d(4),
            ops.DropBlock2d(0.3, 3, inplace=True),
            ops.Conv2dNormActivation(4, 4, activation_layer=nn.Hardswish),
            ops.SqueezeExcitation(4, 2),
            ops.StochasticDepth(0.5, "row"),
            ops.Permute([0, 2, 3, 1]),
            ops.MLP(4, [8, 3], inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def test_torchvision_layers() -> None:
    check_network(Detector().double().eval(), images())


def test_feature_pyramid() -> None:
    ops = pytest.importorskip("torchvision.ops", reason="torchvision is not installed")
    pyramid = ops.FeaturePyramidNetwork([4, 4], 3).double()

    def forward(x: Tensor) -> Tensor:
        features = pyramid({"fine": x, "coarse": F.max_pool2d(x, 2)})
        return torch.cat([value.flatten(1) for value in features.values()], 1)

    check_network(forward, images(), piecewise=True)
