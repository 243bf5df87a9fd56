"""Networks of sequences: dilated convolutions, highways, pooling, Fourier mixing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.architectures.exactness import check_network

LENGTH, WIDTH = 6, 4


def sequences() -> Tensor:
    return torch.randn(2, LENGTH, WIDTH, dtype=torch.float64)


class WaveNet(nn.Module):
    """Causal dilated convolutions, tanh times sigmoid, skips (van den Oord et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.ModuleList(nn.Conv1d(4, 4, 2, dilation=2**i) for i in range(3))
        self.gate = nn.ModuleList(nn.Conv1d(4, 4, 2, dilation=2**i) for i in range(3))
        self.out = nn.Conv1d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x, skips = x.mT, 0
        for number, (value, gate) in enumerate(zip(self.value, self.gate, strict=True)):
            past = F.pad(x, (2**number, 0))
            x = x + torch.tanh(value(past)) * torch.sigmoid(gate(past))
            skips = skips + x
        return self.out(F.relu(skips, inplace=True))


class TemporalBlock(nn.Module):
    """A TCN block (Bai et al. 2018): pad both sides, chomp the future, normalised weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(
            nn.Conv1d(4, 4, 3, padding=4, dilation=2)
        )
        self.down = nn.Conv1d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x.mT
        y = F.relu(self.conv(x)[:, :, :-4].contiguous(), inplace=True)
        return F.relu(F.dropout(y, 0.2, self.training) + self.down(x))


class Highway(nn.Module):
    """T(x)·H(x) + (1 − T(x))·x (Srivastava et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.transform, self.gate = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate(x))
        return gate * F.relu(self.transform(x)) + (1 - gate) * x


class MaskedMean(nn.Module):
    """The mean over each sequence's own length: what follows it is zero."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, torch.zeros_like(x[:, :2])], 1)
        lengths = x.any(2).sum(1)
        mask = (torch.arange(LENGTH + 2) < lengths[:, None]).unsqueeze(2)
        return (x * mask).sum(1) / mask.sum(1).clamp(min=1)


class AttentionPooling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))

    def forward(self, x: Tensor) -> Tensor:
        scores = self.score(x).squeeze(2).masked_fill(torch.arange(LENGTH) == 5, -torch.inf)
        return torch.einsum("bl,blw->bw", torch.softmax(scores, 1), x)


class FourierMixing(nn.Module):
    """FNet (Lee-Thorp et al. 2022): the real part of a Fourier transform mixes tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.feed = nn.LayerNorm(4), nn.Sequential(nn.Linear(4, 8), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x + torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real)
        return self.feed(x)


class FourierFilter(nn.Module):
    """A learned filter: rfft, a complex weight, irfft; the modulus of another as features."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(LENGTH // 2 + 1, WIDTH, 2))

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(x, dim=1, norm="ortho")
        filtered = spectrum * torch.view_as_complex(self.weight)
        return (
            torch.fft.irfft(filtered, n=LENGTH, dim=1, norm="ortho")
            + spectrum.abs().mean(1)[:, None]
        )


class MovingAverage(nn.Module):
    """Series decomposition: a moving average, its residual, and cumulative sums."""

    def forward(self, x: Tensor) -> Tensor:
        padded = torch.cat([x[:, :1], x, x[:, -1:].expand(-1, 1, -1)], 1)
        trend = F.avg_pool1d(padded.mT, 3, 1).mT
        return torch.cat([trend, (x - trend).cumsum(1), x.roll(1, 1).diff(dim=1)], 1)


class Median(nn.Module):
    """A median filter and quantiles of a window."""

    def forward(self, x: Tensor) -> Tensor:
        windows = x.unfold(1, 3, 1)
        spread = windows.quantile(torch.tensor([0.25, 0.75], dtype=x.dtype), dim=-1)
        return windows.median(-1).values + spread[1] - spread[0]


NETWORKS = [
    *(WaveNet, TemporalBlock, Highway, MaskedMean, AttentionPooling, FourierMixing),
    *(FourierFilter, MovingAverage, Median),
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_sequence_networks(network: type[nn.Module]) -> None:
    check_network(network().double().eval(), sequences())


def test_attention_pooling_holds_its_pattern() -> None:
    network, x = AttentionPooling().double(), sequences()
    weight = check_network(network, x).weight()
    assert isinstance(weight, Tensor)
    with torch.no_grad():
        scores = network.score(x).squeeze(2)
        powers = scores[:, :5].exp()
        pattern = F.pad(powers / powers.sum(1, keepdim=True), (0, 1))
    expected = torch.einsum("bl,vw->bvlw", pattern, torch.eye(WIDTH).double())
    assert torch.allclose(weight, expected, atol=1e-13)


def test_a_highway_holds_its_gate() -> None:
    network, x = Highway().double(), torch.randn(3, 4, dtype=torch.float64)
    weight = check_network(network, x).weight()
    with torch.no_grad():
        gate = torch.sigmoid(network.gate(x)).unsqueeze(2)
        on = (network.transform(x) > 0).double().unsqueeze(2)
        expected = gate * on * network.transform.weight + (1 - gate) * torch.eye(4).double()
    assert torch.allclose(weight, expected, atol=1e-13)
