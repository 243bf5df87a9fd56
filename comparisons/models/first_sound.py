"""The recurrent network of g2p-en as a classifier: a word's letters → its first phoneme."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from comparisons.models.network import Model, Network, hash_of
from comparisons.models.phonemes import LETTERS, Speller, speller
from comparisons.models.tokens import token_baselines, token_features

__all__ = ["MODELS", "WORDS", "FirstSound", "first_sound"]

# Often not the first letter's own sound.
_SPOKEN = """
    knight:N phrase:F wrists:R chords:K psalms:S thirst:TH shrimp:SH cheese:CH gentle:JH
    garden:G gnomes:N unique:Y cipher:S cotton:K eighth:EY1 island:AY1 quartz:K rhythm:R
    sphere:S throat:TH vision:V wholes:HH yellow:Y school:S
"""
WORDS = {word: phoneme for word, _, phoneme in (e.partition(":") for e in _SPOKEN.split())}
"""Words of six letters, and the first phoneme of each in ARPABET."""


class FirstSound(nn.Module):
    """Logits of the first phoneme: a GRU reads the letters, a GRU cell takes one step.

    Args:
        speller: the trained network.
    """

    start: Tensor

    def __init__(self, speller: Speller) -> None:
        super().__init__()
        self.speller = speller
        self.register_buffer("start", speller.embedded_phonemes([]))

    def forward(self, letters: Tensor) -> Tensor:
        """(batch, letters, 256) → (batch, 74)."""
        logits: Tensor = self.speller(letters, self.start.expand(len(letters), -1, -1))
        return logits


def first_sound(seed: int | None = None) -> Network:
    """g2p-en on twenty-four words of six letters and the mark of their end."""
    trained = speller()
    inputs = torch.cat([trained.embedded_word(word) for word in WORDS])
    table = trained.letters.weight.detach()
    return Network(
        name="g2p_first_sound",
        model=FirstSound(trained).eval().requires_grad_(False),
        inputs=inputs,
        labels=list(WORDS),
        description=(
            f"the GRU of g2p-en 2.1.0; {len(WORDS)} words of six letters, from their "
            "embeddings, and the first phoneme"
        ),
        weights_hash=hash_of(trained.state_dict()),
        dataset="words",
        baselines=token_baselines(table, inputs.shape[1], LETTERS.index("<pad>")),
        **token_features(inputs, "letter"),
    )


MODELS = {"g2p_first_sound": Model("g2p_first_sound", first_sound, is_optional=True)}
