"""Antimicrobial peptides and others: the first residues of each, and how they are divided.

modlamp 4.3.3 (BSD-3) has 2,600 antimicrobial peptides of the APD3 database and 2,600 other
peptides of UniProt in ``AMPvsUniProt.csv``. Taken are the first 15 residues of those that have
as many, each window once, without those that occur in both classes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from captum_ilin.companions.categorical import Background, Groups
from comparisons.models.trained import WEIGHTS
from comparisons.packages import folder_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["AMINO_ACIDS", "CLASSES", "GROUPS", "LENGTH", "Peptides", "divided", "sample"]

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
LENGTH = 15
CLASSES = ("other", "antimicrobial")
GROUPS = Groups.of_positions(
    (LENGTH, len(AMINO_ACIDS)),
    letters=AMINO_ACIDS,
    names=[str(number) for number in range(1, LENGTH + 1)],
)
SHARED = 8  # residues in a row that two windows share, by which they stay together
TEST_SHARE = 0.2
SAMPLE = "peptides_sample"
PSEUDOCOUNT = 1.0


class Peptides(NamedTuple):
    """Codes (windows, 15) of training and test windows, and their classes, 1 antimicrobial."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


class Sample(NamedTuple):
    """What is committed: the test windows, and how often each letter begins the others.

    Attributes:
        test, test_labels: as in `Peptides`.
        frequencies: of the training windows, (15, 20), one added to every count.
    """

    test: Tensor
    test_labels: Tensor
    frequencies: Tensor

    @property
    def background(self) -> Background:
        """The training windows' letters, each position by itself."""
        return Background.of(GROUPS, self.frequencies, name="training peptides")


def divided() -> Peptides:
    """The windows, divided so that no test window shares eight residues in a row with others.

    Raises:
        MissingPackageError: modlamp is not installed.
    """
    windows = _windows()
    names = sorted(windows)
    families = _families(names)
    order = torch.randperm(len(families), generator=torch.Generator().manual_seed(0)).tolist()
    test: list[str] = []
    for number in order:
        if len(test) < TEST_SHARE * len(names):
            test += families[number]
    held_out = set(test)
    train = [name for name in names if name not in held_out]
    found = []
    for part in (train, sorted(held_out)):
        found.append(torch.tensor([[AMINO_ACIDS.index(one) for one in name] for name in part]))
        found.append(torch.tensor([windows[name] for name in part]))
    return Peptides(*found)


def _windows() -> dict[str, int]:
    """First residues → class."""
    folder = folder_of(
        "modlamp", purpose="The peptides' data", install="--no-deps modlamp==4.3.3"
    )
    lines = (folder / "data" / "AMPvsUniProt.csv").read_text().splitlines()[1:]
    classes: dict[str, set[int]] = defaultdict(set)
    for line in lines:
        residues, label = line.split(",")
        if len(residues) >= LENGTH and set(residues) <= set(AMINO_ACIDS):
            classes[residues[:LENGTH]].add(int(label))
    return {name: min(found) for name, found in classes.items() if len(found) == 1}


def _families(names: list[str]) -> list[list[str]]:
    """Windows that share residues in a row, directly or through others, belong together."""
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    first: dict[str, str] = {}
    for name in names:
        for start in range(LENGTH - SHARED + 1):
            other = first.setdefault(name[start : start + SHARED], name)
            parent[root(name)] = root(other)
    families: dict[str, list[str]] = defaultdict(list)
    for name in names:
        families[root(name)].append(name)
    return list(families.values())


def write_sample(peptides: Peptides, folder: Path = WEIGHTS) -> None:
    """Keep the test windows and the training windows' frequencies."""
    inputs = GROUPS.encode(peptides.train)
    frequencies = Background.of_data(
        GROUPS, inputs, name="training peptides", pseudocount=PSEUDOCOUNT
    )
    np.savez_compressed(
        folder / f"{SAMPLE}.npz",
        test=peptides.test.numpy().astype(np.uint8),
        test_labels=peptides.test_labels.numpy().astype(np.uint8),
        frequencies=torch.stack(frequencies.probabilities).numpy(),
    )


def sample(folder: Path = WEIGHTS) -> Sample:
    """The committed part of the data."""
    with np.load(folder / f"{SAMPLE}.npz") as kept:
        return Sample(
            torch.from_numpy(kept["test"]).long(),
            torch.from_numpy(kept["test_labels"]).long(),
            torch.from_numpy(kept["frequencies"]),
        )
