"""``Cascade``: similarities while layer after layer is randomised, and their null band."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.randomisation.entries import Entries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from captum_ilin.metrics.scores import Scores

__all__ = ["Cascade"]


@dataclass(frozen=True)
class Cascade:
    """What `mprt` found.

    Attributes:
        order: "top_down", "bottom_up" or "independent".
        layers: names in the order in which they were randomised.
        similarities: name → values (seeds, layers, examples) between the trained network's
            attributions and the randomised one's.
        null: name → values (seeds, examples) between two networks with every layer
            randomised; empty where it was not asked for.

    >>> import torch
    >>> from captum.attr import InputXGradient
    >>> from captum_ilin.metrics import mprt
    >>> model = torch.nn.Sequential(torch.nn.Linear(9, 9), torch.nn.Linear(9, 2))
    >>> cascade = mprt(InputXGradient, model, torch.rand(3, 9), target=1, null=True)
    >>> cascade.layers
    ('1', '0')
    >>> cascade.similarities["spearman"], cascade.null["spearman"]
    (Entries((5, 2, 3), 0 NaN), Entries((5, 3), 0 NaN))
    >>> len(cascade.final("abs_spearman"))
    3
    """

    order: str
    layers: tuple[str, ...]
    similarities: Mapping[str, Entries]
    null: Mapping[str, Entries] = field(default_factory=dict)

    def mean(self, similarity: str = "spearman") -> Scores:
        """Each example's mean over seeds and layers; the trained network is not among them."""
        return self._of(self.similarities, similarity).averaged(f"mprt_{similarity}")

    def final(self, similarity: str = "spearman") -> Scores:
        """Each example's mean over seeds once the last layer is randomised too.

        Raises:
            MetricInputError: the layers were randomised one at a time, so none is last.
        """
        if self.order == "independent":
            raise MetricInputError(
                'final: expected a cascade, order "top_down" or "bottom_up"; got '
                '"independent", where every layer but one is as trained.'
            )
        found = self._of(self.similarities, similarity)
        seeds = [found.at(seed, -1 % len(self.layers)) for seed in range(len(found.values))]
        return Entries.stacked(seeds).averaged(f"mprt_{similarity}_final")

    def null_mean(self, similarity: str = "spearman") -> Scores:
        """Each example's mean over seeds between networks that share nothing trained.

        Raises:
            MetricInputError: it was not asked for.
        """
        return self._of(self.null, similarity).averaged(f"mprt_{similarity}_null")

    def _of(self, entries: Mapping[str, Entries], similarity: str) -> Entries:
        if similarity not in entries:
            raise MetricInputError(
                f"{similarity}: expected one of {', '.join(entries) or 'none'}, which were "
                "computed; pass similarities=…, and null=True for the null band."
            )
        return entries[similarity]
