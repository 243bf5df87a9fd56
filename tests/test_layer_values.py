"""What a layer's value may be: several tensors, nested, without a batch, made twice."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradientXActivation
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from captum_ilin import LayerILIN, linearize
from tests.completeness import EVERYTHING, assert_complete
from tests.fingerprint import untouched
from tests.networks import TinyTransformer, dense_relu_map

BATCH = 4
ROUNDING = {"rtol": 1e-12, "atol": 1e-13}  # float64, sums of some ten products of order one


@pytest.fixture
def x() -> Tensor:
    return torch.randn(BATCH, 3, dtype=torch.float64)


class ManyTensors(nn.Module):
    """Returns its arguments doubled and an index, in the container it was made with."""

    def __init__(self, container: Any) -> None:
        super().__init__()
        self.container = container

    def forward(self, a: Tensor, b: Tensor) -> Any:
        return self.container((2 * a, a.argmax(1), 2 * b))


class UsesManyTensors(nn.Module):
    def __init__(self, container: Any, uses_b: bool = True) -> None:
        super().__init__()
        self.many, self.uses_b = ManyTensors(container), uses_b

    def forward(self, x: Tensor) -> Tensor:
        value = self.many(x, x[:, :2] * 3)
        a, index, b = value.values() if isinstance(value, dict) else value
        y = 5 * a + index[:, None]
        return torch.cat([y[:, :2] + 7 * b, y[:, 2:]], 1) if self.uses_b else y


def as_dict(values: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip("abc", values, strict=True))


@pytest.mark.parametrize("container", [tuple, list, as_dict])
def test_values_of_several_tensors_come_as_a_tuple(x: Tensor, container: Any) -> None:
    """Integers among them are passed on, and explained by nothing."""
    model = UsesManyTensors(container)
    attributions, bias = LayerILIN(model, model.many).attribute(x, 1, return_bias=True)
    assert isinstance(attributions, tuple)
    for_a, for_b = torch.zeros(BATCH, 3).double(), torch.zeros(BATCH, 2).double()
    for_a[:, 1], for_b[:, 1] = 10 * x[:, 1], 42 * x[:, 1]
    torch.testing.assert_close(attributions, (for_a, for_b), **ROUNDING)
    torch.testing.assert_close(bias, x.argmax(1).double(), **ROUNDING)


def test_inputs_of_several_tensors_come_as_a_tuple(x: Tensor) -> None:
    model = UsesManyTensors(tuple)
    for_a, for_b = LayerILIN(model, model.many).attribute(x, 1, None, True)
    torch.testing.assert_close(for_a[:, 1], 10 * x[:, 1], **ROUNDING)
    torch.testing.assert_close(for_b[:, 1], 42 * x[:, 1], **ROUNDING)


def test_a_tensor_that_the_output_does_not_use_has_attribution_zero(x: Tensor) -> None:
    """Captum raises here."""
    model = UsesManyTensors(tuple, uses_b=False)
    for_a, for_b = LayerILIN(model, model.many).attribute(x, 1)
    assert for_a.abs().sum() > 0
    assert torch.equal(for_b, torch.zeros(BATCH, 2).double())


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        _, (_, memory) = self.lstm(x)
        return self.head(torch.tanh(memory[-1]))


@pytest.mark.parametrize("at_input", [False, True])
def test_packed_sequences_that_leave_or_enter_a_layer(at_input: bool) -> None:
    lengths = [5, 3]
    gru, head = nn.GRU(4, 6, batch_first=True).double(), nn.Linear(6, 2).double()
    x = torch.randn(2, 5, 4, dtype=torch.float64)

    def tagger(x: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True)
        steps, _ = pad_packed_sequence(gru(packed)[0], batch_first=True)
        scores: Tensor = head(steps).sum(1)
        return scores

    attributions, delta, bias = LayerILIN(tagger, gru).attribute(
        x, 1, attribute_to_layer_input=at_input, **EVERYTHING
    )
    steps = attributions if at_input else attributions[0]
    assert steps.shape == (sum(lengths), 4 if at_input else 6)
    torch.testing.assert_close(delta, torch.zeros_like(delta), rtol=0, atol=1e-13)
    expected = tagger(x).detach()[:, 1].sum()
    torch.testing.assert_close(steps.sum() + bias.sum(), expected, **ROUNDING)


def test_nested_tuples_are_flattened() -> None:
    model, x = Recurrent(), torch.randn(2, 5, 3, dtype=torch.float64)
    attributions = LayerILIN(model, model.lstm).attribute(x, 1)
    assert [tuple(value.shape) for value in attributions] == [(2, 5, 4), (1, 2, 4), (1, 2, 4)]
    assert [bool(value.any()) for value in attributions] == [False, False, True]
    assert_complete(model, model.lstm, x)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("frozen_parameters", [True, False])
@pytest.mark.parametrize(
    "name",
    ["layers", "layers.layers.0", "layers.layers.0.self_attn", "layers.layers.1.linear1"],
)
def test_inner_layers_of_transformers(
    batch_first: bool, frozen_parameters: bool, name: str
) -> None:
    """Sequence first, too: which example an element belongs to is not guessed. With nothing
    that requires gradients PyTorch would take a fused path past the inner layers."""
    model = TinyTransformer(batch_first=batch_first).requires_grad_(not frozen_parameters)
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    with untouched(model, x):
        assert_complete(model, model.get_submodule(name), x)


class Texts(nn.Module):
    """Word and position embeddings, one gated by a norm, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(20, 6), nn.Embedding(5, 6)
        self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, 3)
        self.double()

    def forward(self, ids: Tensor) -> Tensor:
        places = self.positions(torch.arange(ids.shape[1]))
        return self.head(F.gelu(self.norm(self.words(ids) + places)).mean(1))


def test_token_ids_are_explained_through_their_embeddings() -> None:
    model, ids = Texts(), torch.randint(20, (4, 5))
    assert_complete(model, model.words, ids)
    attributions = LayerILIN(model, model.words).attribute(ids, [0, 1, 2, 0])
    with torch.no_grad():
        embeddings = model.words(ids)
        places = model.positions(torch.arange(5))

    def above(embeddings: Tensor) -> Tensor:
        return model.head(F.gelu(model.norm(embeddings + places)).mean(1))

    expected = linearize(above, embeddings).weight([0, 1, 2, 0]) * embeddings
    torch.testing.assert_close(attributions, expected, **ROUNDING)


def test_a_table_that_all_rows_share_has_no_batch_dimension() -> None:
    """Position embeddings: attributions are summed over the rows, delta is still per row."""
    model, ids = Texts(), torch.randint(20, (4, 5))
    assert LayerILIN(model, model.positions).attribute(ids, 1).shape == (5, 6)
    assert_complete(model, model.positions, ids)


class Reused(nn.Module):
    """Calls its only ReLU three times."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(4))
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:3]:
            x = self.relu(layer(x))
        return self.layers[3](x)


@pytest.mark.parametrize(("call", "position"), [(0, 0), (1, 1), (2, 2), (-1, 2), (-3, 0)])
def test_a_layer_called_several_times_is_explained_at_one_call(
    x: Tensor, call: int, position: int
) -> None:
    model = Reused()
    spelled = nn.Sequential(*(m for layer in model.layers for m in (layer, nn.ReLU())))[:-1]
    value = spelled[: 2 * position + 2](x).detach()
    slope, intercept = dense_relu_map(spelled[2 * position + 2 :], value)
    attributions, delta, bias = LayerILIN(model, model.relu).attribute(
        x, 1, call=call, **EVERYTHING
    )
    torch.testing.assert_close(attributions, slope[:, 1] * value, **ROUNDING)
    torch.testing.assert_close(bias, intercept[:, 1], **ROUNDING)
    torch.testing.assert_close(delta, torch.zeros_like(delta), **ROUNDING)


def test_the_last_call_is_the_default_as_in_captum(x: Tensor) -> None:
    model = Reused()
    ours = LayerILIN(model, model.relu).attribute(x, 1)
    captums = LayerGradientXActivation(model, model.relu).attribute(x, 1)
    torch.testing.assert_close(ours, captums, **ROUNDING)
