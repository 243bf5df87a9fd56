"""What Captum builds on ``LayerGradientXActivation`` accepts our layer method, and is right."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from captum.attr import (
    LayerGradientXActivation,
    LLMGradientAttribution,
    NoiseTunnel,
    TextTokenInput,
)
from captum.concept import TCAV, Concept
from captum.concept._utils.classifier import Classifier
from torch import Tensor, nn

from captum_ilin import LayerILIN
from tests.fingerprint import untouched
from tests.networks import ConvNet, smooth_mlp

if TYPE_CHECKING:
    from pathlib import Path

ROUNDING = {"rtol": 1e-10, "atol": 1e-12}
WORDS = ("<unk>", "<s>", "the", "cat", "sat", "on", "a", "mat", "dog", "ran")


class WordTokenizer:
    """As much of a tokenizer as Captum asks for: a word is a token."""

    def encode(self, text: str, return_tensors: str | None = None) -> Any:
        ids = [1, *self(text)["input_ids"]]
        return torch.tensor([ids]) if return_tensors == "pt" else ids

    def __call__(self, text: str, **options: Any) -> dict[str, Any]:
        ids, spans, start = [], [], 0
        for word in text.split(" "):
            ids.append(WORDS.index(word))
            spans.append((start, start + len(word)))
            start += len(word) + 1
        return {"input_ids": ids, "offset_mapping": spans}

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [WORDS[number] for number in ids]

    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int]:
        return [WORDS.index(token) for token in tokens]

    def decode(self, ids: Tensor) -> str:
        return " ".join(WORDS[number] for number in ids.reshape(-1).tolist())


@pytest.fixture
def llama() -> nn.Module:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    configuration = transformers.LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return transformers.LlamaForCausalLM(configuration).double().eval()


def test_is_accepted_by_type() -> None:
    assert issubclass(LayerILIN, LLMGradientAttribution.SUPPORTED_METHODS)
    assert issubclass(LayerILIN, LayerGradientXActivation)


@pytest.mark.parametrize("skipped", [None, ["<s>"]], ids=["all tokens", "start token left out"])
def test_tokens_of_a_language_model(llama: nn.Module, skipped: Any) -> None:
    """Each generated token's log probability, from the tokens before it and the bias."""
    tokenizer, answer = WordTokenizer(), torch.tensor([7, 9])
    prompt = TextTokenInput("the cat sat on a", tokenizer, skip_tokens=skipped)
    embedding = llama.get_input_embeddings()
    wrapped = LLMGradientAttribution(LayerILIN(llama, embedding), tokenizer)
    with untouched(llama):
        result = wrapped.attribute(prompt, target=answer)
    assert result.output_tokens == ["mat", "ran"]
    ids = tokenizer.encode("the cat sat on a", return_tensors="pt")
    for number, token in enumerate(answer.tolist()):
        before = torch.cat([ids, answer[None, :number]], 1)
        contributions, bias = LayerILIN(log_probabilities(llama), embedding).attribute(
            before, target=token, return_bias=True
        )
        total = contributions.sum() + bias
        value = log_probabilities(llama)(before)[:, token].detach()
        torch.testing.assert_close(total, value, rtol=1e-7, atol=0)  # it casts to float32
        of_prompt = contributions.sum(-1)[0, bool(skipped) : ids.shape[1]]
        torch.testing.assert_close(result.token_attr[number], of_prompt, **ROUNDING)


def test_tokens_of_a_language_model_are_not_the_gradient_s(llama: nn.Module) -> None:
    tokenizer = WordTokenizer()
    prompt = TextTokenInput("the cat sat on a", tokenizer)
    results = [
        LLMGradientAttribution(method(llama, llama.get_input_embeddings()), tokenizer)
        .attribute(prompt, target=torch.tensor([7]))
        .token_attr
        for method in (LayerILIN, LayerGradientXActivation)
    ]
    assert results[0].shape == results[1].shape
    assert (results[0] - results[1]).abs().max() > 1e-3


def log_probabilities(model: nn.Module) -> Any:
    return lambda ids: torch.log_softmax(model(ids).logits[:, -1], 1)


class MeanDifference(Classifier):
    """The direction from the second concept's mean to the first's."""

    def __init__(self) -> None:
        self.direction = torch.empty(0)

    def train_and_eval(self, dataloader: Any, **options: Any) -> None:
        batches = list(dataloader)
        values, labels = (torch.cat(column) for column in zip(*batches, strict=True))
        direction = values[labels == 0].mean(0) - values[labels == 1].mean(0)
        self.direction = torch.stack([direction, -direction]).float()

    def weights(self) -> Tensor:
        return self.direction

    def classes(self) -> list[int]:
        return [0, 1]


@pytest.mark.parametrize("at_input", [False, True], ids=["output", "input"])
def test_concept_activation_vectors(tmp_path: Path, at_input: bool) -> None:
    """TCAV's magnitude and sign are those of W · v, W of both layers it sets in turn."""
    model, layers = ConvNet(), ["second", "norm"]
    concepts = [
        Concept(number, name, [torch.randn(6, 3, 12, 12, dtype=torch.float64) + number])
        for number, name in enumerate(["one", "other"])
    ]
    images = torch.randn(5, 3, 12, 12, dtype=torch.float64)
    tcav = TCAV(
        model,
        layers,
        classifier=MeanDifference(),
        layer_attr_method=LayerILIN(model, None, multiply_by_inputs=False),
        attribute_to_layer_input=at_input,
        save_path=str(tmp_path),
    )
    with untouched(model, images, draws=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Captum's own loading and saving
        scores = tcav.interpret(images, [concepts], target=2)["0-1"]
    for name in layers:
        weight = LayerILIN(model, model.get_submodule(name), None, False).attribute(
            images, 2, attribute_to_layer_input=at_input
        )
        vectors = tcav.cavs["0-1"][name].stats["weights"]
        products = weight.flatten(1).float() @ vectors.T
        signs = (products > 0).float().mean(0)
        torch.testing.assert_close(scores[name]["sign_count"], signs, atol=1e-6, rtol=0)
        torch.testing.assert_close(scores[name]["magnitude"], products.mean(0))


class Recording(LayerILIN):
    """Our method, and the inputs it was asked about."""

    def attribute(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        self.asked = inputs.detach().clone()
        return super().attribute(inputs, *args, **kwargs)

    attribute.__wrapped__ = attribute


def test_noise_tunnel_averages_over_noisy_inputs() -> None:
    model, x = smooth_mlp(), torch.randn(3, 3, dtype=torch.float64)
    method = Recording(model, model[1])
    still = NoiseTunnel(method).attribute(x, nt_samples=4, stdevs=0.0, target=[0, 1, 2])
    torch.testing.assert_close(still, method.attribute(x, [0, 1, 2]), **ROUNDING)
    smoothed = NoiseTunnel(method).attribute(x, nt_samples=4, stdevs=0.5, target=1)
    assert (method.asked - x.repeat_interleave(4, 0)).abs().min() > 0
    expected = LayerILIN(model, model[1]).attribute(method.asked, 1).reshape(3, 4, 5).mean(1)
    torch.testing.assert_close(smoothed, expected, **ROUNDING)
