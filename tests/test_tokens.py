"""``nearest_tokens`` against a search row by row, and one token's block of a language model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from captum_ilin import TokenTableError, in_double, linearize, nearest_tokens

if TYPE_CHECKING:
    from collections.abc import Callable


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def searched(vector: list[float], table: list[list[float]], by: str) -> list[float]:
    """The similarity of a vector and each row, number by number."""
    found = []
    for row in table:
        product = math.fsum(a * b for a, b in zip(vector, row, strict=True))
        if by == "cosine":
            product /= math.hypot(*vector) * (math.hypot(*row) or 1.0)
        found.append(product)
    return found


@pytest.mark.parametrize("by", ["cosine", "product"])
@pytest.mark.parametrize("count", [(), (3,), (2, 3)])
def test_they_are_those_of_a_search(by: Any, count: tuple[int, ...]) -> None:
    vectors, table = double(*count, 7), double(40, 7) * double(40, 1)
    table[5] = 0.0
    found = nearest_tokens(vectors, table, 6, by=by)
    for name, sign in (("", 1.0), ("opposite_", -1.0)):
        tokens = getattr(found, f"{name}tokens").reshape(-1, 6)
        similarities = getattr(found, f"{name}similarities").reshape(-1, 6)
        assert getattr(found, f"{name}tokens").shape == (*count, 6)
        for vector, numbers, values in zip(
            vectors.reshape(-1, 7), tokens, similarities, strict=True
        ):
            every = searched((sign * vector).tolist(), table.tolist(), by)
            ranked = sorted(range(40), key=lambda n: -every[n])[:6]  # used at once
            assert numbers.tolist() == ranked
            assert values.tolist() == pytest.approx([every[n] for n in ranked], rel=1e-12)


def test_the_opposite_is_what_the_negative_vector_gives() -> None:
    vectors, table = double(4, 7), double(40, 7)
    one, other = nearest_tokens(vectors, table), nearest_tokens(-vectors, table)
    assert one.opposite_tokens.equal(other.tokens)
    assert one.opposite_similarities.equal(other.similarities)


def test_a_row_finds_itself() -> None:
    """By the cosine; by the product a longer one may come first."""
    table = double(40, 7)
    found = nearest_tokens(table, table, 1)
    assert found.tokens[:, 0].equal(torch.arange(40))
    torch.testing.assert_close(found.similarities, torch.ones(40, 1).double())
    table[3] = 2 * table[4]
    assert nearest_tokens(table[4], table, 1, by="product").tokens.item() == 3


def test_a_row_of_zeros_is_nearest_to_nothing() -> None:
    table = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    found = nearest_tokens(torch.tensor([1.0, 0.0]), table, 3)
    assert found.tokens.tolist() == [1, 0, 2]
    assert found.similarities.tolist() == [1.0, 0.0, -1.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_table_in_another_precision(dtype: torch.dtype) -> None:
    table = torch.randn(40, 7).to(dtype)
    found = nearest_tokens(double(3, 7), table)
    assert found.similarities.dtype == torch.float64
    assert not nearest_tokens(torch.nn.Parameter(table.float()), table).tokens.requires_grad


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda: nearest_tokens(double(3, 5), double(40, 7)),
            "The last dimension of the vectors must be the table's width, (..., width) and "
            "(tokens, width), but got (3, 5) and (40, 7). Take the table of the space that the "
            "vectors are in.",
        ),
        (
            lambda: nearest_tokens(double(2, 7), torch.zeros(2, 7)[0]),
            "The last dimension of the vectors must be the table's width, (..., width) and "
            "(tokens, width), but got (2, 7) and (7,). Take the table of the space that the "
            "vectors are in.",
        ),
        (
            lambda: nearest_tokens(torch.ones(7, dtype=torch.long), double(40, 7)),
            "The vectors must hold finite floating-point numbers, but got torch.int64.",
        ),
        (
            lambda: nearest_tokens(double(7) / 0, double(40, 7)),
            "The vectors must hold finite floating-point numbers, but got NaN or infinity.",
        ),
        (
            lambda: nearest_tokens(double(7), double(40, 7) / 0),
            "The table must hold finite floating-point numbers, but got NaN or infinity.",
        ),
        (
            lambda: nearest_tokens(double(2, 7) * torch.tensor([[1.0], [0.0]]), double(40, 7)),
            "A vector is zero, so it points to no token. Leave it out: a singular value of 0 "
            "has no direction.",
        ),
        (
            lambda: nearest_tokens(double(7), double(40, 7), 41),
            "k must be an int from 1 to 40, the rows of the table, but got 41.",
        ),
        (
            lambda: nearest_tokens(double(7), double(40, 7), True),
            "k must be an int from 1 to 40, the rows of the table, but got True.",
        ),
        (
            lambda: nearest_tokens(double(7), double(40, 7), by="angle"),  # type: ignore[arg-type]
            "by must be 'cosine' or 'product', but got 'angle'.",
        ),
    ],
)
def test_what_does_not_go_together(ask: Callable[[], Any], message: str) -> None:
    with pytest.raises(TokenTableError) as error:
        ask()
    assert str(error.value) == message


# one token's block of a language model


def tiny(family: str) -> Any:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    if family == "llama":
        config = transformers.LlamaConfig(
            vocab_size=50,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
        )
        return transformers.LlamaForCausalLM(config).eval().double()
    config = transformers.GPT2Config(
        vocab_size=50,
        n_embd=16,
        n_layer=2,
        n_head=4,
        n_positions=32,
        bos_token_id=0,
        eos_token_id=0,
    )
    return transformers.GPT2LMHeadModel(config).eval().double()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_blocks_of_tokens_add_up_to_the_logits(family: str) -> None:
    """F = Σ_p W_p x_p + b, and each block's singular values are the dense block's."""
    model = tiny(family)
    table = model.get_input_embeddings().weight.detach()
    embeddings = table[torch.tensor([[3, 14, 15, 9, 26]])]
    affine_map = linearize(
        in_double(lambda x: model(inputs_embeds=x).logits[:, -1]), embeddings
    )
    W, dense, logits = affine_map.operator(), affine_map.weight(), affine_map.outputs
    blocks = [W.part(features=position) for position in range(5)]
    total = sum(block @ embeddings[:, p] for p, block in enumerate(blocks))
    error = (total + affine_map.bias() - logits).abs().max() / logits.abs().max()
    assert error <= 1e-12
    for position, block in enumerate(blocks):
        U, S, V = block.svd(2)
        matrix = dense[0, :, position]  # (tokens, width)
        expected = torch.linalg.svdvals(matrix)
        torch.testing.assert_close(S[:, 0], expected[:2], rtol=0, atol=1e-12 * expected[0])
        torch.testing.assert_close(
            V[:, 0] @ matrix.T, S * U[:, 0], rtol=0, atol=float(1e-12 * expected[0])
        )
        found = nearest_tokens(V[:, 0], table, 3)
        cosines = torch.nn.functional.cosine_similarity(V[0, 0], table)
        assert found.tokens[0].equal(cosines.topk(3).indices)


def test_the_head_s_products_are_what_a_direction_adds_to_the_logits() -> None:
    """Directions of the last hidden values, read by the head, are those of the logits."""
    model = tiny("llama")
    embeddings = model.get_input_embeddings()(torch.tensor([[3, 14, 15]])).detach()
    hidden = linearize(
        in_double(lambda x: model.model(inputs_embeds=x).last_hidden_state[:, -1]), embeddings
    )
    direction = (hidden.operator().part(features=1).svd(1).U)[0]
    head = model.get_output_embeddings().weight
    found = nearest_tokens(direction, head, 4, by="product")
    assert found.tokens.equal((direction @ head.T).topk(4).indices)
