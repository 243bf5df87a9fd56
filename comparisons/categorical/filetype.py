"""Magika's logit of "pdf" over every pattern of a file's first four bytes, all orders.

Two files, each with its first four bytes replaced: a small PDF, and an English text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ilin.companions.categorical import Groups, expand
from comparisons.categorical.peptides import of_expansion
from comparisons.categorical.records import NetworkRecord
from comparisons.models.filetype import file_type, labels, one_hot
from comparisons.models.network import hash_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from captum_ilin.companions.categorical import Expansion
    from comparisons.categorical.records import Record

__all__ = ["FILES", "LETTERS", "NETWORK", "expanded", "groups", "measured"]

NETWORK = "filetype"
TARGET = "pdf"
LETTERS = "%PDFK<"  # of "%PDF", of "PK" that begins archives, and of "<" that begins markup
FIRST = 4  # bytes that are varied

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
    every = Groups.of_positions((2048, 257), letters=[*map(chr, range(256)), "none"])
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
        yield from of_expansion(NETWORK, None, f"uniform, {name}", expansion)
