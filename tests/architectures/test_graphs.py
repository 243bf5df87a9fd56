"""Message passing on graphs, as plain PyTorch writes it: nodes are the rows of one input."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ilin import linearize
from tests.architectures.exactness import check_network

NODES, WIDTH = 5, 3
SOURCES = torch.tensor([0, 1, 2, 3, 4, 0, 2, 1, 3])
TARGETS = torch.tensor([1, 2, 3, 4, 0, 2, 0, 3, 1])


def nodes() -> Tensor:
    return torch.randn(1, NODES, WIDTH, dtype=torch.float64)


class Convolution(nn.Module):
    """Graph convolution (Kipf & Welling 2017): normalised sums of messages."""

    def __init__(self, reduce: str) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, 4), nn.Linear(4, 2)
        self.reduce = reduce

    def forward(self, x: Tensor) -> Tensor:
        return self.gathered(self.second(F.relu(self.gathered(self.first(x[0]))))).unsqueeze(0)

    def gathered(self, x: Tensor) -> Tensor:
        start = torch.zeros_like(x)
        if self.reduce == "index_add":
            return start.index_add(0, TARGETS, x[SOURCES])
        if self.reduce == "index_add_":
            return start.index_add_(0, TARGETS, x[SOURCES], alpha=0.5) + x
        index = TARGETS.unsqueeze(1).expand(-1, x.shape[1])
        return start.scatter_reduce(0, index, x[SOURCES], self.reduce, include_self=False)


@pytest.mark.parametrize("reduce", ["index_add", "index_add_", "sum", "mean", "amax", "amin"])
def test_graph_convolution(reduce: str) -> None:
    check_network(Convolution(reduce).double(), nodes(), piecewise=True)


class SparseConvolution(nn.Module):
    """The same with a sparse adjacency matrix."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        edges = torch.stack([TARGETS, SOURCES])
        weights = torch.linspace(0.2, 1.0, len(SOURCES))
        adjacency = torch.sparse_coo_tensor(edges, weights, (NODES, NODES)).coalesce()
        self.adjacency = (adjacency.to_sparse_csr() if layout == "csr" else adjacency).double()
        self.layout, self.linear = layout, nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        messages = self.linear(x[0])
        if self.layout == "mm":
            return torch.sparse.mm(self.adjacency, messages).relu().unsqueeze(0)
        return (self.adjacency @ messages).relu().unsqueeze(0)


@pytest.mark.filterwarnings("ignore:Sparse")  # in beta, and without invariant checks
@pytest.mark.parametrize("layout", ["mm", "csr", "matmul"])
def test_sparse_adjacency(layout: str) -> None:
    check_network(SparseConvolution(layout).double(), nodes(), piecewise=True)


class Attention(nn.Module):
    """Graph attention (Veličković et al. 2018): a softmax over each node's neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.score = nn.Linear(WIDTH, 4), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        features = self.linear(x[0])
        messages = self.pattern(features) * features[SOURCES]
        return torch.zeros_like(features).index_add(0, TARGETS, messages).unsqueeze(0)

    def pattern(self, features: Tensor) -> Tensor:
        pairs = torch.cat([features[SOURCES], features[TARGETS]], 1)
        scores = F.leaky_relu(self.score(pairs), 0.2)
        index = TARGETS.unsqueeze(1)
        start = scores.new_zeros(NODES, 1)
        largest = start.scatter_reduce(0, index, scores, "amax", include_self=False)
        powers = torch.exp(scores - largest[TARGETS])
        return powers / start.index_add(0, TARGETS, powers)[TARGETS]


def test_graph_attention_holds_its_pattern() -> None:
    network, x = Attention().double(), nodes()
    weight = check_network(network, x).weight()
    assert isinstance(weight, Tensor)
    with torch.no_grad():
        pattern = network.pattern(network.linear(x[0]))
    mixing = torch.zeros(NODES, NODES, dtype=torch.float64)
    for edge, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        mixing[target, source] += pattern[edge, 0]
    expected = torch.einsum("ts,of->tosf", mixing, network.linear.weight.detach())
    assert torch.allclose(weight[0], expected, atol=1e-13)


def test_a_pooled_graph_has_the_bias_of_its_layers() -> None:
    network = nn.Sequential(Convolution("mean"), nn.Flatten(), nn.Linear(NODES * 2, 1)).double()
    affine_map = linearize(network, nodes(), strict=True)
    assert {site.op for site in affine_map.bias_ledger(target=0)} == {"linear"}
