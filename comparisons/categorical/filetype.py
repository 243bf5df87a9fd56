"""Magika's logit of "pdf" over every pattern of a file's first four bytes, all orders.

Two files, each with its first four bytes replaced: a small PDF, and an English text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from captum_ilin import TANGENT_RULES, linearize
from captum_ilin.companions.categorical import Groups, energy, expand, zero_sum_map
from comparisons.categorical.peptides import of_expansion
from comparisons.categorical.readings import FIELD, MAP, SWAP, compared, logit_of
from comparisons.categorical.records import AgreementRecord, NetworkRecord
from comparisons.models.filetype import file_type, labels, one_hot
from comparisons.models.network import hash_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from captum_ilin import AffineMap
    from captum_ilin.companions.categorical import Expansion
    from comparisons.categorical.records import Record

__all__ = ["FILES", "LETTERS", "NETWORK", "expanded", "groups", "measured"]

NETWORK = "filetype"
TARGET = "pdf"
LETTERS = "%PDFK<"  # of "%PDF", of "PK" that begins archives, and of "<" that begins markup
FIRST = 4  # bytes that are varied
TANGENT_MAP = "W' at a window (tangent rules)"

_PDF = b"""%PDF-1.7
1 0 obj
<< /Type /Catalog /Pages 2 0 R >>
endobj
2 0 obj
<< /Type /Pages /Kids [3 0 R] /Count 1 >>
endobj
3 0 obj
<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R >>
endobj
4 0 obj
<< /Length 33 >>
stream
BT /F1 12 Tf 50 100 Td (Hi) Tj ET
endstream
endobj
trailer
<< /Root 1 0 R >>
%%EOF
"""
_TEXT = b"%PDF-1.7 is what a portable document begins with. " + 3 * (
    b"The rest of this file is a short English text about nothing in particular, written to "
    b"see what a network makes of it. "
)
FILES = {"the rest a PDF": _PDF, "the rest a text": _TEXT}


def groups() -> Groups:
    """The first four bytes, each of six letters."""
    every = Groups.of_positions(
        (2048, 257),
        letters=[*map(chr, range(256)), "none"],
        names=list(map(str, range(1, 2049))),
    )
    return every.only(range(FIRST), letters=LETTERS)


def expanded(content: bytes) -> Expansion:
    """The logit of "pdf" in the class gauge, with every pattern in the file's first bytes."""
    return expand(
        file_type(),
        groups(),
        order=FIRST,
        held=one_hot(content),
        target=labels().index(TARGET),
        class_gauge=True,
    )


def measured(found: dict[str, Expansion]) -> Iterator[Record]:
    """All that is measured, of the expansion of each file."""
    yield NetworkRecord(NETWORK, None, hash_of(file_type().state_dict()), None, None, None)
    for name, expansion in found.items():
        background = f"{expansion.background.name}, {name}"
        yield from of_expansion(NETWORK, None, background, expansion)
        yield from _agreements(background, FILES[name], expansion)


def _agreements(
    background: str, content: bytes, expansion: Expansion
) -> Iterator[AgreementRecord]:
    """What another letter does in this file, which begins with "%PDF", and two maps of it."""
    x = one_hot(content)
    forward, swaps, field = logit_of(file_type()), _swaps(expansion, x), expansion.fields()
    maps = {
        MAP: _gauged(linearize(forward, x)),
        TANGENT_MAP: _gauged(linearize(forward, x, rules=TANGENT_RULES)),
    }
    for name, weights in maps.items():
        yield compared(None, background, (SWAP, name), (swaps[None], weights[None]))
        yield compared(None, background, (FIELD, name), (field[None], weights[None]))
    yield compared(None, background, (SWAP, FIELD), (swaps[None], field[None]))


def _gauged(affine_map: AffineMap) -> Tensor:
    """W' of the first bytes, (byte, letter)."""
    found = zero_sum_map(affine_map, groups(), labels().index(TARGET))
    flat = found.weight[0].flatten()
    return flat[torch.tensor(groups().features)].double()


def _swaps(expansion: Expansion, x: Tensor) -> Tensor:
    """F with another letter at a byte, less the mean over its letters, (byte, letter)."""
    codes = groups().decode(x).repeat(FIRST, len(LETTERS), 1)  # byte, letter, code
    for byte in range(FIRST):
        codes[byte, :, byte] = torch.arange(len(LETTERS))
    values = energy(expansion.terms, codes.flatten(0, 1)).reshape(FIRST, -1)
    return values - values.mean(1, keepdim=True)  # the terms of all orders are F itself
