"""How transformers' networks are built: a class, its configuration, two layers of width 32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comparisons.models.vision import make_torchvision_importable
from comparisons.zoo.architecture import Architecture

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

__all__ = ["LAYERS", "SENTENCE", "SPECIAL", "VOCABULARY", "WIDTH", "model"]

WIDTH, VOCABULARY = 32, 40
SENTENCE = (6, WIDTH)  # tokens, embedding
LAYERS: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
SPECIAL: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def model(
    name: str,
    read: Callable[..., Tensor],
    *shapes: tuple[int, ...],
    config: str,
    bias_free: bool = False,
    **options: Any,
) -> Architecture:
    """The class ``name`` of transformers, made from ``config`` with ``options``.

    Which attention is run, where it is chosen, becomes part of the architecture's name.
    """
    attention = options.get("attn_implementation")

    def build() -> nn.Module:
        make_torchvision_importable()
        import transformers

        settings = getattr(transformers, config)(**options)
        network: nn.Module = getattr(transformers, name)(settings)
        return network

    label = f"{name} ({attention})" if attention else name
    return Architecture(label, "transformers", build, shapes, read, bias_free)
