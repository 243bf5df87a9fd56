"""Published networks with their trained weights, on real data: sensible first, then exact.

Each network must predict what its data show, which a wrongly read weight would spoil; then
its affine map is certified, in float32 and in float64. A package that is not installed skips
its tests, by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")

from captum_ilin import linearize
from comparisons.language import directions, next_token
from comparisons.language.directions import directions_table
from comparisons.language.statements import markdown
from comparisons.models import efficientnet, faces, filetype, mnist, phonemes
from comparisons.models.language import LanguageModel, minilm, smollm2
from comparisons.packages import MissingPackageError
from tests.exactness import COMPLETENESS_ERROR, VALUE_ERROR, certify

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum_ilin import AffineMap


def loaded(load: Callable[..., Any], *args: Any) -> Any:
    """What ``load`` gives, or a skip that names the missing package."""
    try:
        return load(*args)
    except MissingPackageError as error:
        pytest.skip(str(error))


# images


def test_efficientnet_on_photographs() -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="EfficientNet-Lite is missing")
    network = efficientnet.lite0()
    predicted = network.model(network.inputs).argmax(1)
    assert int(predicted[network.labels.index("cat")]) in range(281, 286)  # ImageNet's cats
    certify(network.model, network.model, network.inputs[:2])


def test_mnist_network_on_digits() -> None:
    model, (images, labels) = loaded(mnist.recognizer), loaded(mnist.digits, 500)
    with torch.no_grad():
        accuracy = (model(images).argmax(1) == labels).double().mean()
    assert accuracy > 0.99  # 99.7 % are claimed of it
    certify(model, model, images[::50])


@pytest.mark.parametrize(("load", "side"), [(faces.rnet, 24), (faces.onet, 48)])
def test_face_networks_on_faces(load: Callable[[], nn.Module], side: int) -> None:
    model = loaded(load)

    def everything(images: Tensor) -> Tensor:
        """Box offsets, landmarks, and probabilities of no face and of a face."""
        return torch.cat(model(images), 1)

    images, is_face = faces.faces_and_others(100, side)
    with torch.no_grad():
        accuracy = (everything(images)[:, -1].gt(0.5) == is_face.bool()).double().mean()
        assert everything(faces.astronaut(side))[0, -1] > 0.95
    assert accuracy > 0.98
    certify(everything, model, torch.cat([faces.astronaut(side), images[:2], images[-2:]]))


# text


@pytest.mark.parametrize(
    ("word", "phonemes_of_it"),
    [("knight", "N AY1 T"), ("photograph", "F OW1 T AH0 G R AE2 F"), ("cheese", "CH IY1 Z")],
)
def test_phonemes_of_words(word: str, phonemes_of_it: str) -> None:
    model = loaded(phonemes.speller)
    assert model.spell(word) == phonemes_of_it.split()
    so_far = phonemes_of_it.split()[:-1]
    letters, written = model.embedded_word(word), model.embedded_phonemes(so_far)
    certify(lambda x: model(x, written.to(x)), model, letters)


def test_phonemes_flow_through_the_decoder_too() -> None:
    model = loaded(phonemes.speller).double()
    inputs = model.embedded_word("knight"), model.embedded_phonemes(["N", "AY1"])
    certificate = linearize(model, inputs, strict=True).certificate()
    assert certificate.value_error <= VALUE_ERROR
    assert certificate.completeness_error <= COMPLETENESS_ERROR


def sentence(encoder: LanguageModel, texts: list[str]) -> tuple[Callable[..., Tensor], Tensor]:
    """The mean of an encoder's outputs over a text's tokens, and the embedded tokens."""
    batch = encoder.tokenizer(texts, return_tensors="pt", padding=True)
    mask = batch["attention_mask"]

    def forward(words: Tensor) -> Tensor:
        hidden = encoder.model(inputs_embeds=words, attention_mask=mask).last_hidden_state
        return F.normalize((hidden * mask[..., None]).sum(1), dim=-1)

    words = encoder.model.get_input_embeddings()(batch["input_ids"])
    return forward, words.detach()


def test_minilm_on_sentences() -> None:
    encoder = loaded(minilm)
    texts = ["A man is eating food.", "Someone eats a meal.", "The stock market fell sharply."]
    forward, words = sentence(encoder, texts)
    with torch.no_grad():
        meal, market = (forward(words)[:1] @ forward(words)[1:].T)[0]
    assert meal > 0.7
    assert market < 0.2
    certify(forward, encoder.model, words)


# files


PROGRAM = b'''"""Primes below a number."""

import sys


def primes(limit: int) -> list[int]:
    sieve = [True] * limit
    for number in range(2, int(limit**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = [False] * len(sieve[number * number :: number])
    return [number for number in range(2, limit) if sieve[number]]


if __name__ == "__main__":
    print(primes(int(sys.argv[1])))
'''


def files(folder: Any) -> dict[str, bytes]:
    """Type → the bytes of a real file of it, written and read again."""
    import json

    import numpy as np
    from skimage.io import imsave

    (folder / "primes.py").write_bytes(PROGRAM)
    table = {"rows": [{"number": n, "square": n * n} for n in range(60)]}
    (folder / "table.json").write_text(json.dumps(table, indent=2))
    picture = (np.indices((40, 40)).sum(0) * 3).astype(np.uint8)
    imsave(folder / "ramp.png", picture, check_contrast=False)
    np.save(folder / "ramp.npy", picture)
    names = {"python": "primes.py", "json": "table.json", "png": "ramp.png", "npy": "ramp.npy"}
    return {label: (folder / name).read_bytes() for label, name in names.items()}


def test_file_types_of_files(tmp_path: Any) -> None:
    model = loaded(filetype.file_type)
    contents = files(tmp_path)
    codes = torch.cat([filetype.one_hot(content) for content in contents.values()])
    with torch.no_grad():
        found = [filetype.labels()[number] for number in model(codes).argmax(1)]
    assert found == list(contents)
    certify(model, model, codes)


def test_file_types_as_the_published_graph_gives_them(tmp_path: Any) -> None:
    """The rebuilt network against an interpreter of the ONNX file, which ends in a softmax."""
    model = loaded(filetype.file_type).double()
    reference = pytest.importorskip("onnx.reference", reason="onnx is not installed")

    class GlobalMaxPool(reference.op_run.OpRun):  # onnx 1.23's own takes images only
        op_domain = ""

        def _run(self, x: Any) -> tuple[Any]:
            return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)

    codes = torch.cat([filetype.one_hot(content) for content in files(tmp_path).values()])
    graph = reference.ReferenceEvaluator(published_in_double(), new_ops=[GlobalMaxPool])
    (wanted,) = graph.run(None, {"bytes": codes.argmax(-1).int().numpy()})
    with torch.no_grad():
        got = model(codes.double()).softmax(1)
    # The graph's √(2/π) and 0.044715 keep their float32 rounding, 6e-8.
    assert torch.allclose(got, torch.tensor(wanted), rtol=1e-6, atol=0)


def published_in_double() -> Any:
    """The ONNX file in float64: in float32 its variances, E[x²] − E[x]², lose four digits."""
    import onnx

    model = onnx.load(filetype.weights_file())
    for constant in model.graph.initializer:
        if constant.data_type == onnx.TensorProto.FLOAT:
            wide = onnx.numpy_helper.to_array(constant).astype("float64")
            constant.CopyFrom(onnx.numpy_helper.from_array(wide, constant.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == onnx.TensorProto.FLOAT:
                attribute.i = onnx.TensorProto.DOUBLE
    return model


# a language model


@pytest.fixture(scope="module")
def decoder() -> LanguageModel:
    language: LanguageModel = loaded(smollm2)
    return language


@pytest.mark.slow
def test_smollm2_on_a_prompt(decoder: LanguageModel) -> None:
    numbers = decoder.tokenizer("The capital of France is", return_tensors="pt").input_ids

    def forward(words: Tensor) -> Tensor:
        logits: Tensor = decoder.model(
            inputs_embeds=words, use_cache=False, logits_to_keep=1
        ).logits[:, -1]
        return logits

    nn.Module.float(decoder.model)  # another test may have asked for float64
    words = decoder.model.get_input_embeddings()(numbers).detach()
    probabilities = forward(words).detach().softmax(1)[0]
    assert decoder.tokenizer.decode([int(probabilities.argmax())]) == " Paris"
    assert probabilities.max() > 0.7
    affine_map = certify(forward, decoder.model, words)
    assert_bias_free(affine_map, words.double())


def assert_bias_free(affine_map: AffineMap, words: Tensor) -> None:
    """No constant enters a decoder of the Llama family: <W, x> alone is the logit."""
    target = affine_map.outputs.argmax(1)
    weight = affine_map.weight(target)
    assert isinstance(weight, Tensor)
    error = ((weight * words).sum() - affine_map.outputs.max()).abs() / affine_map.outputs.max()
    print(f"|<W, x> - F| / |F| = {float(error):.1e}")
    assert error <= 1e-12
    assert affine_map.bias(target).abs().max() <= 1e-12 * affine_map.outputs.max()


REFERENCE = Path(__file__).parent.parent / "comparisons" / "reference" / "language"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "prompt", "options"),
    [
        ("paris", "The capital of France is", {}),
        (
            "mary",
            "When Mary and John went to the store, John gave a drink to",
            {"target": " Mary", "against": " John"},
        ),
    ],
)
def test_committed_tables_are_what_the_command_gives(
    name: str, prompt: str, options: dict[str, str], decoder: LanguageModel
) -> None:
    decoder.model.double()
    found = next_token(decoder, prompt, **options)
    assert found.weight_error <= 1e-12
    assert found.completeness_error <= 1e-12
    committed = (REFERENCE / f"{name}.md").read_text()
    assert without_errors(markdown(found)) == without_errors(committed)


@pytest.mark.slow
def test_committed_directions_are_what_the_command_gives(decoder: LanguageModel) -> None:
    """And the token that the prompt asks for is what its first token raises."""
    decoder.model.double()
    found = directions(decoder, "The capital of France is", count=1)
    assert found.directions[0].raised[0] == " Paris"
    assert directions_table(found) == (REFERENCE / "paris-directions.md").read_text()


def without_errors(table: str) -> list[str]:
    """The lines that do not depend on the order of sums."""
    return [line for line in table.splitlines() if "Σφ" not in line]
