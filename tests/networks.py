"""Networks the tests share, and their dense maps from explicit matrix products."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "ConvNet",
    "TinyTransformer",
    "TwoInputs",
    "dense_relu_map",
    "pick",
    "relu_mlp",
    "residual_convnet",
    "smooth_mlp",
]


def relu_mlp(*widths: int) -> nn.Sequential:
    """Linear layers in float64 with a ReLU between each two."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).double()


def smooth_mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 4)).double()


def dense_relu_map(network: nn.Sequential, x: Tensor) -> tuple[Tensor, Tensor]:
    """W (batch, out, in) and b (batch, out) of a `relu_mlp`, from its matrices alone."""
    with torch.no_grad():
        slope = torch.eye(x.shape[1], dtype=x.dtype).repeat(len(x), 1, 1)
        intercept = torch.zeros(len(x), x.shape[1], dtype=x.dtype)
        for layer in network:
            if isinstance(layer, nn.Linear):
                slope = layer.weight @ slope
                intercept = intercept @ layer.weight.T + layer.bias
            else:
                z = torch.einsum("boi,bi->bo", slope, x) + intercept
                gate = (z > 0).to(x.dtype)
                slope, intercept = gate[:, :, None] * slope, gate * intercept
        return slope, intercept


def pick(values: Tensor, targets: list[int]) -> Tensor:
    """Row i of ``values`` (batch, out, ...) at output ``targets[i]``."""
    return torch.stack([value[target] for value, target in zip(values, targets, strict=True)])


class TwoInputs(nn.Module):
    """ReLU of two projections; further arguments scale and shift the output."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(3, 4), nn.Linear(2, 4), nn.Linear(4, 3)

    def forward(self, a: Tensor, b: Tensor, shift: Tensor | None = None, times: int = 1):
        y = self.head(F.relu(self.left(a) + self.right(b))) * times
        return y if shift is None else y + shift


class ConvNet(nn.Module):
    """Convolution, batch norm, overlapping max pooling, and a reused ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3)
        self.norm, self.pool = nn.BatchNorm2d(6), nn.MaxPool2d(3, 2)
        self.relu, self.head = nn.ReLU(), nn.Linear(8, 4)
        calibrate(self, torch.randn(16, 3, 12, 12))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.norm(self.first(x))))
        return self.head(self.relu(self.second(x)).mean((2, 3)))


def residual_convnet() -> nn.Sequential:
    """A residual block whose ReLUs write in place."""
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3), Residual(6), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(600, 4)
    )
    calibrate(network, torch.randn(16, 3, 12, 12))
    return network


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def calibrate(network: nn.Module, images: Tensor) -> None:
    """Random batch-norm shifts, and the running statistics of ``images``."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            module.momentum = None
    with torch.no_grad():
        network.train()(images)
    network.double().eval()


class TinyTransformer(nn.Module):
    """Tokens (batch, 5, 8) through two encoder layers, batch first or sequence first."""

    def __init__(self, *, batch_first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            8, 2, 16, activation="gelu", norm_first=True, batch_first=batch_first
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.positions = nn.Parameter(torch.randn(5, 8))
        self.head, self.batch_first = nn.Linear(8, 3), batch_first
        for parameter in self.parameters():
            if parameter.dim() == 1:
                nn.init.normal_(parameter)
        self.double().eval()

    def forward(self, tokens: Tensor) -> Tensor:
        x = tokens + self.positions
        if self.batch_first:
            return self.head(self.layers(x).mean(1))
        return self.head(self.layers(x.transpose(0, 1)).mean(0))
