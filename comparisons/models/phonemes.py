"""English spelling → phonemes: the recurrent network of g2p-en in torch.nn.

A GRU reads the letters, a GRU cell writes phonemes, each fed with the one before.
Weights: g2p-en 2.1.0, Park and Kim, Apache-2.0.
"""

from __future__ import annotations

import string

import numpy as np
import torch
from torch import Tensor, nn

from comparisons.packages import folder_of

__all__ = ["PHONEMES", "Speller", "speller"]

LETTERS = ["<pad>", "<unk>", "</s>", *string.ascii_lowercase]
# ARPABET, vowels with their stress (0 none, 1 primary, 2 secondary); the order of the weights.
_SYMBOLS = """
    AA0 AA1 AA2 AE0 AE1 AE2 AH0 AH1 AH2 AO0 AO1 AO2 AW0 AW1 AW2 AY0 AY1 AY2 B CH D DH
    EH0 EH1 EH2 ER0 ER1 ER2 EY0 EY1 EY2 F G HH IH0 IH1 IH2 IY0 IY1 IY2 JH K L M N NG
    OW0 OW1 OW2 OY0 OY1 OY2 P R S SH T TH UH0 UH1 UH2 UW UW0 UW1 UW2 V W Y Z ZH
"""
PHONEMES = ["<pad>", "<unk>", "<s>", "</s>", *_SYMBOLS.split()]
START, END = PHONEMES.index("<s>"), PHONEMES.index("</s>")
LONGEST = 20


class Speller(nn.Module):
    """Embedded letters and embedded phonemes so far → logits of the next phoneme.

    (batch, letters, 256), (batch, phonemes, 256) → (batch, 74).
    """

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.letters = nn.Embedding(len(LETTERS), width)
        self.phonemes = nn.Embedding(len(PHONEMES), width)
        self.encoder = nn.GRU(width, width, batch_first=True)
        self.decoder = nn.GRUCell(width, width)
        self.head = nn.Linear(width, len(PHONEMES))

    def forward(self, letters: Tensor, phonemes: Tensor) -> Tensor:
        _, last = self.encoder(letters)
        state = last[0]
        for phoneme in phonemes.unbind(1):
            state = self.decoder(phoneme, state)
        logits: Tensor = self.head(state)
        return logits

    def embedded_word(self, word: str) -> Tensor:
        """(1, letters + 1, 256): a word in lower case with the mark of its end."""
        numbers = [LETTERS.index(letter) for letter in word] + [LETTERS.index("</s>")]
        embedded: Tensor = self.letters(torch.tensor([numbers])).detach()
        return embedded

    def embedded_phonemes(self, phonemes: list[str]) -> Tensor:
        """(1, phonemes + 1, 256): the mark of the start and the phonemes so far."""
        numbers = [START] + [PHONEMES.index(phoneme) for phoneme in phonemes]
        embedded: Tensor = self.phonemes(torch.tensor([numbers])).detach()
        return embedded

    @torch.no_grad()
    def spell(self, word: str) -> list[str]:
        """The phonemes of a word, each the most probable one."""
        letters, found = self.embedded_word(word), list[str]()
        while len(found) < LONGEST:
            best = int(self(letters, self.embedded_phonemes(found)).argmax())
            if best == END:
                break
            found.append(PHONEMES[best])
        return found


def speller() -> Speller:
    """The trained network."""
    folder = folder_of(
        "g2p_en", purpose="The phoneme network", install="--no-deps g2p-en==2.1.0"
    )
    with np.load(folder / "checkpoint20.npz") as arrays:
        state = {_parameter(name): torch.tensor(arrays[name]) for name in arrays.files}
    model = Speller()
    model.load_state_dict(state)
    return model.eval()


def _parameter(array: str) -> str:
    """The name of the module's parameter for an array's: enc_w_ih → encoder.weight_ih_l0."""
    part, _, kind = array.partition("_")
    if kind == "emb":
        return {"enc": "letters.weight", "dec": "phonemes.weight"}[part]
    if part == "fc":
        return {"w": "head.weight", "b": "head.bias"}[kind]
    name = kind.replace("w_", "weight_").replace("b_", "bias_")
    return f"encoder.{name}_l0" if part == "enc" else f"decoder.{name}"
