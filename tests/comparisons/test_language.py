"""Contributions of tokens on tiny random models: exact, readable, and drawn."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

pytest.importorskip("sklearn", reason="the comparisons' extra is not installed")
pytest.importorskip("skimage", reason="the comparisons' extra is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import tokenizers
import transformers

from captum_ilin import frozen, in_double
from comparisons.__main__ import main
from comparisons.language import (
    PromptError,
    TokenContributions,
    directions,
    next_token,
    similarity,
)
from comparisons.language import command as commanding
from comparisons.language.directions import directions_table
from comparisons.language.figure import save_figure
from comparisons.language.page import html
from comparisons.language.statements import markdown
from comparisons.language.terminal import print_text
from comparisons.language.tokens import readable
from comparisons.models.language import LanguageModel

TEXT = "the cat sat on the mat and the dog sat on the log"


def byte_level() -> Any:
    """A tokenizer of bytes and a few pairs of them, as language models have."""
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator([TEXT] * 3, vocab_size=290, show_progress=False)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer)


def word_pieces() -> Any:
    """A tokenizer of whole words and ends of words, as BERT has."""
    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", *sorted(set(TEXT.split())), "##s"]
    built = tokenizers.BertWordPieceTokenizer({word: n for n, word in enumerate(words)})
    return transformers.PreTrainedTokenizerFast(tokenizer_object=built._tokenizer)


@pytest.fixture
def decoder() -> LanguageModel:
    config = transformers.LlamaConfig(
        vocab_size=290,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32,
    )
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval().double()
    return LanguageModel("tiny-llama", model, byte_level())


@pytest.fixture
def encoder() -> LanguageModel:
    tokenizer = word_pieces()
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=32,
    )
    torch.manual_seed(0)
    model = transformers.BertModel(config, add_pooling_layer=False).eval().double()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return LanguageModel("tiny-bert", model, tokenizer)


@pytest.fixture
def found(decoder: LanguageModel) -> TokenContributions:
    return next_token(decoder, "the cat <b>&amp; $x$ | sat")


# the numbers


def test_contributions_to_the_next_token_are_its_logit(decoder: LanguageModel) -> None:
    found = next_token(decoder, "the cat sat on")
    numbers = torch.tensor([decoder.tokenizer("the cat sat on")["input_ids"]])
    with torch.no_grad():
        logits = decoder.model(input_ids=numbers).logits[0, -1]
    assert found.value == pytest.approx(
        float(logits.max()), rel=1e-6
    )  # its norms cast to float32
    assert len(found.tokens) == len(found.contributions) == numbers.shape[1]
    assert found.completeness_error <= 1e-12
    assert found.weight_error <= 1e-12
    assert found.bias == 0
    assert found.predictions[0][1] == pytest.approx(float(logits.softmax(0).max()), rel=1e-5)


def test_against_another_token_is_the_difference(decoder: LanguageModel) -> None:
    both = next_token(decoder, "the cat sat on", target=" the", against=" mat")
    one = next_token(decoder, "the cat sat on", target=" the")
    other = next_token(decoder, "the cat sat on", target=" mat")
    assert torch.allclose(
        both.contributions, one.contributions - other.contributions, rtol=1e-10, atol=1e-14
    )
    assert both.value == pytest.approx(one.value - other.value, rel=1e-10)
    assert both.question == 'logit of " the" minus logit of " mat" as the next token'


def test_similarity_needs_its_bias(encoder: LanguageModel) -> None:
    found = similarity(encoder, "the cats sat", target="the dog sat")
    assert found.tokens == ("[CLS]", " the", " cat", "s", " sat", " [SEP]")
    assert found.completeness_error <= 1e-12
    assert found.weight_error == pytest.approx(found.bias_share, rel=1e-6)
    assert found.bias_share > 1e-3
    assert -1 <= found.value <= 1
    other = similarity(encoder, "the cats sat", target="the mat")
    both = similarity(encoder, "the cats sat", target="the dog sat", against="the mat")
    assert torch.allclose(
        both.contributions, found.contributions - other.contributions, rtol=1e-9, atol=1e-14
    )


# tokens


@pytest.mark.parametrize("text", ["the cat sat", "  the\ncat", "dé\tjà 🙂"])
def test_bytes_are_readable_and_none_is_lost(text: str) -> None:
    tokenizer = byte_level()
    tokens = readable(tokenizer, tokenizer(text)["input_ids"])
    assert len(tokens) == len(tokenizer(text)["input_ids"])
    assert "".join(tokens) == re.sub(r"[^\x00-\x7f]", lambda m: "�" * len(m[0].encode()), text)


def test_marks_of_words_are_blanks() -> None:
    tokenizer = byte_level()
    assert readable(tokenizer, tokenizer("the cat")["input_ids"]) == ("the", " cat")


# the drawings


class Balance(HTMLParser):
    """Counts open elements and collects text."""

    VOID = ("meta",)

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert not {"src", "href"} & {name for name, _ in attrs}
        self.open += [tag] if tag not in self.VOID else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def test_page_is_whole_and_escapes_the_text(found: TokenContributions) -> None:
    page = html(found)
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert "http" not in page
    said = "".join(parser.said)
    assert all(token in said for token in found.tokens)
    assert all(f"{value:+.2f}" in said for value in found.contributions.tolist())
    assert f"+{found.largest:.2f}" in said
    assert "logits" in said
    assert "|Σφ + b − F| / |F|" in said


def test_figure_is_saved(found: TokenContributions, tmp_path: Path) -> None:
    assert save_figure(found, tmp_path / "text.png").stat().st_size > 5_000


def test_terminal_shows_tokens_scale_and_sum(found: TokenContributions) -> None:
    console = Console(record=True, width=100, file=StringIO())
    print_text(found, console)
    said = console.export_text()
    assert "".join(found.tokens) in said
    assert f"{-found.largest:+.2f} " in said
    assert f" {found.largest:+.2f} logits" in said
    assert "0 (no constant enters)" in said


def test_table_keeps_its_columns(found: TokenContributions) -> None:
    for line in markdown(found).splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 3


ROOT = Path(__file__).parent.parent.parent


def test_page_of_the_docs_shows_the_committed_table() -> None:
    table = (ROOT / "comparisons/reference/language/paris.md").read_text()
    contributions = table.partition("| token |")[2].partition("\n\n")[0]
    assert contributions in (ROOT / "docs/how-to-language-model.md").read_text()


# the command


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, decoder: LanguageModel) -> None:
    monkeypatch.setitem(commanding.LANGUAGE_MODELS, "smollm2", lambda: decoder)


@pytest.mark.usefixtures("tiny")
def test_command_leaves_page_picture_table_and_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["language", "the cat sat", "--target", " the", "--out", str(tmp_path)]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert 'contributions to the logit of " the" as the next token' in said
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        f"smollm2-the-cat-sat-the.{kind}" for kind in ("html", "json", "md", "png")
    ]
    record = json.loads((tmp_path / "smollm2-the-cat-sat-the.json").read_text())
    assert sum(record["contributions"]) == pytest.approx(record["value"], rel=1e-10)
    assert {"command", "commit", "versions", "completeness_error"} <= set(record)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [" "],
            "The prompt is empty, so there is nothing to explain. Give a text, such as "
            '"The capital of France is".',
        ),
        (
            ["the cat", "--target", " the", "--against", " the"],
            "The target and what it is compared against are the same, so their difference is 0 "
            "whatever the prompt. Give another one, or leave it out.",
        ),
        (
            ["the cat", "--target", " the mat"],
            "The target ' the mat' is 2 tokens (' the', ' mat'), and a logit belongs to one. "
            'Give a single token, with its leading blank where it begins a word: " Paris".',
        ),
        (
            ["the cat", "--against", ""],
            "The token to compare against '' is 0 tokens (nothing), and a logit belongs to",
        ),
        (
            ["the " * 40],
            "The prompt has 41 tokens, and tiny-llama reads 32 at most. Give a shorter text.",
        ),
        (
            ["the cat", "--model", "minilm"],
            'minilm compares the prompt with another sentence. Give one: --target "Someone',
        ),
        (["the cat", "--model", "smollm"], "unknown model 'smollm'. Did you mean smollm2"),
    ],
)
def test_bad_texts_are_explained(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["language", *arguments, "--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_empty_texts_are_refused_without_the_command(decoder: LanguageModel) -> None:
    with pytest.raises(PromptError, match="The prompt is empty, so there is nothing"):
        next_token(decoder, "\n")


def test_float32_is_refused(decoder: LanguageModel) -> None:
    decoder.model.float()
    with pytest.raises(TypeError, match=r"The model computes in torch.float32.*model.double"):
        next_token(decoder, "the cat")


# singular directions


def test_directions_are_those_of_each_token_s_dense_block(decoder: LanguageModel) -> None:
    """Values, cosines and shares from the dense Jacobian's own decomposition."""
    prompt = "the cat sat on"
    numbers = torch.tensor([decoder.tokenizer(prompt)["input_ids"]])
    x = decoder.model.get_input_embeddings()(numbers).detach()
    forward = frozen(in_double(lambda x: decoder.model(inputs_embeds=x).logits[0, -1]))
    J = torch.autograd.functional.jacobian(forward, x)[:, 0]  # (tokens, positions, width)
    J = J - J.mean(0)
    found = directions(decoder, prompt, count=2).directions
    assert len(found) == 2 * numbers.shape[1]
    for position in range(numbers.shape[1]):
        U, S, Vh = torch.linalg.svd(J[:, position])
        x0, added = x[0, position], J[:, position] @ x[0, position]
        for i, each in enumerate(found[2 * position : 2 * position + 2]):
            along = float(Vh[i] @ x0)
            u = U[:, i] if along >= 0 else -U[:, i]
            assert each.value == pytest.approx(float(S[i]), rel=1e-9)
            assert each.cosine == pytest.approx(abs(along) / float(x0.norm()), rel=1e-6)
            share = float((S[i] * along / added.norm()).square())
            assert each.share == pytest.approx(share, rel=1e-6)
            assert each.raised[0] == decoder.tokenizer.decode([int(u.argmax())])
            assert each.lowered[0] == decoder.tokenizer.decode([int(u.argmin())])


def test_shares_of_all_directions_are_the_whole(decoder: LanguageModel) -> None:
    found = directions(decoder, "the cat", count=16).directions
    for start in range(0, len(found), 16):
        assert sum(each.share for each in found[start : start + 16]) == pytest.approx(1.0)


@pytest.mark.usefixtures("tiny")
def test_the_command_writes_directions(tmp_path: Path, decoder: LanguageModel) -> None:
    assert main(["language", "the cat", "--directions", "2", "--out", str(tmp_path)]) == 0
    table = tmp_path / "smollm2-the-cat-directions.md"
    assert table.read_text() == directions_table(directions(decoder, "the cat", count=2))
    rows = [line for line in table.read_text().splitlines() if line.startswith("| `")]
    record = json.loads(table.with_suffix(".json").read_text())
    assert (
        len(rows)
        == len(record["directions"])
        == 2 * len(decoder.tokenizer("the cat")["input_ids"])
    )
    assert {"command", "commit", "versions", "weights_sha256"} <= set(record)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["the cat", "--target", " the"], "--directions are of all next tokens: leave out"),
        (["the cat", "--model", "minilm"], "minilm has no next token. Leave out --directions"),
        ([" "], "The prompt is empty, so there is nothing to explain."),
    ],
)
def test_directions_of_what_has_none(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        main(["language", *arguments, "--directions", "1", "--out", str(tmp_path)])
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("count", ["0", "17"])
def test_more_directions_than_there_are(
    count: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        main(["language", "the cat", "--directions", count, "--out", str(tmp_path)])
    assert (
        "The number of singular values must be an int from 1 to 16" in capsys.readouterr().err
    )
