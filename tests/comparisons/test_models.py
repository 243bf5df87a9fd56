"""The comparison's trained networks, certified on their real data."""

from __future__ import annotations

import pytest
import torch
from captum.attr import InputXGradient

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("efficientnet_lite_pytorch", reason="EfficientNet-Lite is not installed")

from captum_ilin import InstanceWiseLinearization, in_double, linearize
from comparisons.harness.registry import registered
from comparisons.harness.suitefile import load_suite
from comparisons.models import MODELS, Network
from comparisons.models.answers import ANSWERS
from comparisons.models.first_sound import WORDS
from comparisons.models.language import minilm
from comparisons.models.next_token import PROMPTS, NextToken
from comparisons.models.phonemes import PHONEMES, speller
from comparisons.models.tokens import equally_long
from comparisons.packages import MissingPackageError

SLOW = {"smollm2_next_token": pytest.mark.slow}
DISTINCT = [name for name in MODELS if name != "efficientnet_lite0_grid"]  # same as without


def loaded(name: str) -> Network:
    """The network of the first seed; skips where the packages of an optional one lack."""
    try:
        return MODELS[name].first()
    except MissingPackageError as error:
        assert MODELS[name].is_optional
        pytest.skip(str(error))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=SLOW.get(name, ())) for name in DISTINCT]
)
def test_trained_networks_are_exact(name: str) -> None:
    network = loaded(name)
    inputs = network.inputs[:2]
    target = network.model(inputs).argmax(1)
    single = linearize(network.model, inputs, strict=True).check()
    assert single.largest_error < 1e-5
    # in_double: Llama's norm computes in float32 whatever it is given
    affine_map = linearize(in_double(network.model.double()), inputs.double(), strict=True)
    certificate = affine_map.check()
    assert certificate.value_error <= 1e-12
    assert certificate.completeness_error <= 1e-11
    ledger = affine_map.bias_ledger(target)
    bias = affine_map.bias(target).sum()
    told = sum((entry.sum() for entry in ledger.values()), torch.zeros_like(bias))
    assert torch.allclose(told, bias, rtol=1e-10)


@pytest.mark.parametrize("name", ["digits_cnn", "efficientnet_lite0", "mnist_cnn"])
def test_piecewise_linear_networks_give_input_x_gradient(name: str) -> None:
    network = loaded(name)
    inputs = network.inputs[:1].clone().requires_grad_()
    target = int(network.model(inputs).argmax())
    ours = InstanceWiseLinearization(network.model).attribute(inputs, target=target)
    theirs = InputXGradient(network.model).attribute(inputs, target=target)
    assert (ours - theirs).abs().max() <= 1e-6 * theirs.abs().max()


def test_the_mnist_network_reads_its_digits() -> None:
    network = loaded("mnist_cnn")
    assert network.inputs.shape == (100, 1, 28, 28)
    assert network.labels[:10] == [str(digit) for digit in range(10)]
    # published at 99.7 %: of a hundred digits more than three are wrong once in 3,700 draws
    right = [
        str(int(t)) == label for t, label in zip(network.targets, network.labels, strict=True)
    ]
    assert sum(right) >= 97
    assert network.images is not None
    assert 0 <= network.images.min() < network.images.max() <= 1
    for name in ("zero", "mean", "blur", "noise"):
        assert network.baseline(name, 5).shape == (1, 1, 28, 28)


@pytest.mark.slow
def test_the_language_network_continues_its_prompts() -> None:
    network = loaded("smollm2_next_token")
    tokens, width = network.inputs.shape[1:]
    assert len(network.inputs) == len(PROMPTS) == len(network.labels)
    assert isinstance(network.model, NextToken)
    embedding = network.model.decoder.get_input_embeddings().weight
    # the prediction from embeddings is the decoder's own from the tokens' numbers
    numbers = torch.cdist(network.inputs[0], embedding).argmin(1)
    expected = network.model.decoder(input_ids=numbers[None], use_cache=False).logits[0, -1]
    assert torch.allclose(network.model(network.inputs[:1])[0], expected, atol=1e-3)
    assert int(expected.argmax()) == int(network.targets[0])
    assert len(network.feature_names) == tokens
    for name in ("zero", "mean", "filler"):
        assert network.baseline(name, 2).shape == (1, tokens, width)
    mask = network.feature_mask
    assert mask is not None
    assert mask.shape == (1, tokens, width)
    assert mask[0, :, 0].tolist() == mask[0, :, -1].tolist() == list(range(tokens))


def test_questions_find_their_answers() -> None:
    network = loaded("minilm_answers")
    assert network.labels == list(ANSWERS)
    assert network.targets.tolist() == list(range(len(ANSWERS)))
    language = minilm()
    numbers = torch.tensor([language.tokenizer(network.labels[3])["input_ids"]])
    states = language.model(input_ids=numbers).last_hidden_state
    embedding = torch.nn.functional.normalize(states.mean(1), dim=-1)[0]
    expected = 20 * embedding @ network.model.get_buffer("answers").T
    assert torch.allclose(network.model(network.inputs[3:4])[0], expected, atol=1e-4)


def test_words_begin_as_they_are_spoken() -> None:
    network = loaded("g2p_first_sound")
    spoken = [PHONEMES[target] for target in network.targets.tolist()]
    assert dict(zip(network.labels, spoken, strict=True)) == WORDS
    trained = speller()
    assert [trained.spell(word)[0] for word in list(WORDS)[:3]] == spoken[:3]


@pytest.mark.parametrize(
    ("name", "tokens", "noun"),
    [("minilm_answers", 7, "token"), ("g2p_first_sound", 7, "letter")],
)
def test_what_is_removed_is_a_token(name: str, tokens: int, noun: str) -> None:
    network = loaded(name)
    width = network.inputs.shape[2]
    assert network.inputs.shape[1] == tokens == len(network.feature_names)
    assert network.feature_names[-1] == f"{noun} {tokens}"
    mask = network.feature_mask
    assert mask is not None
    assert mask[0, :, 0].tolist() == mask[0, :, -1].tolist() == list(range(tokens))
    for kind in ("zero", "mean", "filler"):
        assert network.baseline(kind, 2).shape == (1, tokens, width)


def test_the_quick_suite_needs_nothing_beyond_the_extra() -> None:
    quick = load_suite("quick", registered())
    assert not [each.name for each in quick.models if MODELS[each.name].is_optional]


def test_prompts_of_different_lengths_are_refused() -> None:
    assert equally_long({"a b": [1, 2], "c d": [3, 4]}).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="equally many tokens") as caught:
        equally_long({"a b": [1, 2], "c": [3]})
    assert str(caught.value) == (
        "The prompts must have equally many tokens, and have 2 ('a b'), 1 ('c'): the network "
        "takes them as one tensor. Word them so that their lengths agree."
    )


@pytest.mark.parametrize(
    ("name", "examples", "features"),
    [("digits_cnn", 32, 64), ("digits_vit", 32, 64), ("efficientnet_lite0", 8, 64)],
)
def test_image_networks_know_what_is_removed_and_by_what(
    name: str, examples: int, features: int
) -> None:
    network = MODELS[name].first()
    shape = network.inputs.shape
    assert len(network.inputs) == len(network.labels) == examples
    assert network.dataset
    assert set(network.baselines) == {"zero", "mean", "blur", "noise"}
    for kind in network.baselines:
        assert network.baseline(kind, 3).shape == (1, *shape[1:])
        assert kind == "zero" or float(network.baseline(kind, 3).std()) > 0.01
    mask, window = network.feature_mask, network.window
    assert mask is not None
    assert mask.shape == (1, *shape[1:])
    assert len(mask.unique()) == features
    assert (mask == mask[:, :1]).all()  # the channels of a pixel go together
    assert window is not None
    assert window[0] == shape[1]


def test_a_grid_of_photographs_is_explained_for_every_cell() -> None:
    network, alone = MODELS["efficientnet_lite0_grid"].first(), MODELS["efficientnet_lite0"]
    photographs = alone.first()
    assert network.grid == 2
    assert network.masks is not None
    assert network.inputs.shape == network.masks.shape == (8, 3, 448, 448)
    for example, label in enumerate(network.labels):
        shown = network.inputs[example][network.masks[example]].reshape(3, 224, 224)
        place = photographs.labels.index(label)
        assert torch.equal(shown, photographs.inputs[place])
        assert network.targets[example] == photographs.targets[place]
    assert sorted(network.labels) == sorted(photographs.labels)
