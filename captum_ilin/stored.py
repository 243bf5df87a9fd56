"""``StoredMap``: what a map is made of, W, b, x0, F(x0), kept without the network.

F_t(x) = <W_t, x> + b_t for the outputs t it was made for, written to a file and read back bit
by bit. That it adds up can be measured again from the file alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_ilin.certificate import Certificate, tolerance_for
from captum_ilin.checks import check_point
from captum_ilin.errors import NotExactError, NotOfferedError
from captum_ilin.kept import every_target, form_of, listed, places
from captum_ilin.storedfile import in_order, numbered, read, write
from captum_ilin.storedsums import completeness_error, ledger_error
from captum_ilin.storedtext import check_metadata, described, text_of, versions
from captum_ilin.storing import biases_of, check_storable, ledgers_of, own, weights_of_targets
from captum_ilin.targets import select

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from captum_ilin.affine import AffineMap
    from captum_ilin.location import Site

__all__ = ["StoredMap"]


@dataclass(frozen=True, repr=False, eq=False)
class StoredMap:
    """W and b for some outputs of one prediction, with what was measured of them.

    Made by ``StoredMap.of`` from a map, or by ``StoredMap.load`` from a file. It holds tensors
    and text only: neither the network nor a graph.

    Attributes:
        inputs: the operating point x0, (batch, \\*features), a tuple of several.
        outputs: F(x0) for every output, (batch, \\*out).
        targets: which outputs are kept: an int, a tuple of ints where outputs have other
            than one dimension, a list of tuples where rows differ. None: every output.
        weights: W of each input, (targets, batch, \\*features).
        biases: b, (targets, batch).
        ledgers: the bias ledger of each target; None where it was left out.
        certificate: as it was measured when the map was stored.
        metadata: the user's own, text to text.
        versions: of captum_ilin, torch and captum, when the map was stored.

    Cost: the memory of its tensors.

    >>> import tempfile, torch
    >>> from pathlib import Path
    >>> from captum_ilin import linearize
    >>> layer = torch.nn.Linear(3, 5)
    >>> stored = StoredMap.of(linearize(layer, torch.ones(1, 3)), targets=[0, 4])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored.save(Path(folder) / "map.safetensors")
    ...     loaded = StoredMap.load(Path(folder) / "map.safetensors")
    >>> loaded
    StoredMap(inputs (1, 3) -> targets 0, 4 of outputs (1, 5), torch.float32, DEFAULT_RULES)
    >>> torch.equal(loaded.weight(4)[0], layer.weight[4])
    True
    >>> loaded.check() < 1e-6
    True
    """

    inputs: Tensor | tuple[Tensor, ...]
    outputs: Tensor
    targets: tuple[Any, ...] | None
    weights: tuple[Tensor, ...]
    biases: Tensor
    ledgers: tuple[Mapping[Site, Tensor], ...] | None
    certificate: Certificate
    metadata: Mapping[str, str]
    versions: Mapping[str, str]

    def __repr__(self) -> str:
        shapes = ", ".join(str(tuple(leaf.shape)) for leaf in self._leaves)
        kept = "" if self.targets is None else f"targets {listed(self.targets)} of "
        return (
            f"StoredMap(inputs {shapes} -> {kept}outputs {tuple(self.outputs.shape)}, "
            f"{self.outputs.dtype}, {self.certificate.rules})"
        )

    @classmethod
    def of(
        cls,
        affine_map: AffineMap,
        targets: list[Any] | None = None,
        *,
        ledger: bool = True,
        thorough: bool = False,
        budget: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredMap:
        """Compute what is kept of a map.

        Args:
            affine_map: the map.
            targets (list, optional): the outputs to keep, each in any of Captum's target
                forms: ``[3, 5]``. Default: None, every output.
            ledger (bool, optional): also keep the bias ledger of each target. It is as large
                as all values that constants are added to, for each. Default: True.
            thorough (bool, optional): as of ``AffineMap.certificate``. Default: False.
            budget (int, optional): as of ``AffineMap.weight``, for every output.
            metadata (dict, optional): text to text that is kept with it.

        Raises:
            TargetError: ``targets`` is no list, or a target does not fit the output.
            InputTypeError: not a map, or metadata that are not text.
            NotOfferedError: complex outputs, which have no real W.

        Cost: a certificate, and a weight, a bias and a ledger for each target.
        """
        check_storable(affine_map, targets)
        words, outputs = check_metadata(metadata), affine_map.outputs
        forms = None if targets is None else [form_of(target, outputs) for target in targets]
        inputs = affine_map.inputs
        return cls(
            inputs=tuple(map(own, inputs)) if isinstance(inputs, tuple) else own(inputs),
            outputs=own(outputs),
            targets=None if forms is None else tuple(forms),
            weights=weights_of_targets(affine_map, forms, budget),
            biases=biases_of(affine_map, forms),
            ledgers=ledgers_of(affine_map, forms or every_target(outputs)) if ledger else None,
            certificate=affine_map.certificate(thorough=thorough),
            metadata=words,
            versions=MappingProxyType(versions()),
        )

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a ``.safetensors`` file: tensors and text, never code.

        It appears whole and in one step, or not at all.

        Args:
            path: the file's name, in a folder that exists.
            overwrite (bool, optional): replace a file that exists. Default: False.

        Raises:
            StoredFileExistsError: it exists.
            StoredFileError: the folder does not.
            StoredFilePackageError: safetensors is not installed.

        Cost: the memory of its tensors once more.
        """
        tensors = {"outputs": self.outputs, "biases": self.biases}
        tensors |= numbered("inputs", self._leaves) | numbered("weights", self.weights)
        for i, ledger in enumerate(self.ledgers or ()):
            tensors |= numbered(f"ledger.{i}", ledger.values())
        write(path, tensors, text_of(self), overwrite=overwrite)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, device: str | torch.device = "cpu"
    ) -> StoredMap:
        """Read what ``save`` wrote, equal to it bit by bit.

        Args:
            path: the file's name.
            device (optional): where its tensors go. Default: the CPU.

        Raises:
            StoredFileError: no file, one that is damaged, was changed or holds something
                else, or one of another version of the format.
            StoredFilePackageError: safetensors is not installed.
        """
        tensors, text = read(path, device)
        told = described(path, text)
        inputs = in_order("inputs", tensors)
        return cls(
            inputs=inputs if told.inputs_are_a_tuple else inputs[0],
            outputs=tensors["outputs"],
            targets=told.targets,
            weights=in_order("weights", tensors),
            biases=tensors["biases"],
            ledgers=None if told.sites is None else _ledgers(told.sites, tensors),
            certificate=told.certificate,
            metadata=told.metadata,
            versions=told.versions,
        )

    def __call__(self, x: Tensor | tuple[Tensor, ...]) -> Tensor:
        """W x + b at another point, for the outputs that are kept.

        Args:
            x: shaped like ``inputs``, a tuple for a tuple. Row i is taken by row i's map.

        Returns:
            (batch, targets); (batch, \\*out) where every output is kept.

        Raises:
            PointError: x is not shaped like the inputs.

        Cost: one product with the weights.
        """
        total = self.biases
        for weight, point in zip(self.weights, check_point(x, self._leaves, "x"), strict=True):
            total = total + torch.einsum("tbn,bn->tb", _flat(weight, 2), _flat(point, 1))
        return self._by_row(total).to(self.outputs)

    def weight(self, target: Any = None) -> Tensor | tuple[Tensor, ...]:
        """W of a target: as ``AffineMap.weight``.

        Args:
            target (optional): any of Captum's target forms, among those that are kept.
                Default: None, every output.

        Returns:
            (batch, \\*features), a tuple for a tuple of inputs. For None and several outputs
            per example (batch, \\*out, \\*features).

        Raises:
            TargetError: the target is not kept, or does not fit the output.
        """
        weights = tuple(self._taken(weight, target) for weight in self.weights)
        return weights if isinstance(self.inputs, tuple) else weights[0]

    def bias(self, target: Any = None) -> Tensor:
        """b of a target: as ``AffineMap.bias``. Arguments and errors as ``weight``.

        Returns:
            (batch,); for None and several outputs per example (batch, \\*out).
        """
        return self._taken(self.biases, target)

    def bias_ledger(self, target: Any = None) -> dict[Site, Tensor]:
        """b of a target by where it entered: as ``AffineMap.bias_ledger``.

        Raises:
            NotOfferedError: stored without its ledgers, or a target that differs by row where
                every output is kept.
            TargetError: the target is not kept, or does not fit the output.
        """
        if self.ledgers is None:
            raise NotOfferedError(
                "The map was stored without its bias ledgers. Store it with them: "
                "StoredMap.of(..., ledger=True)."
            )
        found = set(places(target, self.targets, self.outputs))
        if len(found) > 1:
            raise NotOfferedError(
                "The ledgers that are kept are each of one output for all rows, but the target "
                "differs by row. Store it as one: StoredMap.of(affine_map, targets=[[...]])."
            )
        return dict(self.ledgers[found.pop()])

    def check(self, tolerance: float | None = None) -> float:
        """That W, b and F, as they are stored, add up: the largest error, if it is small.

        <W, x0> + b against F of each target, and each ledger's sum against b, relative to
        the largest of the terms. It tells nothing of the network, which is not there.

        Args:
            tolerance (float, optional): as of ``AffineMap.check``.

        Raises:
            NotExactError: the error is larger.
        """
        sums = completeness_error(self._leaves, self.weights, self.biases, self._values)
        error = max(sums, ledger_error(self.ledgers, self.biases) if self.ledgers else 0.0)
        limit = tolerance_for(self.certificate.precision) if tolerance is None else tolerance
        if not error <= limit:
            raise NotExactError(
                f"What is stored does not add up: the relative error of <W, x0> + b = F is "
                f"{sums:.1e}, with ledgers {error:.1e}, tolerance {limit:.0e}. Store the map "
                "again, and see `certificate`, which was measured then."
            )
        return error

    @property
    def _leaves(self) -> tuple[Tensor, ...]:
        return self.inputs if isinstance(self.inputs, tuple) else (self.inputs,)

    @property
    def _values(self) -> Tensor:
        """F of each target, (targets, batch)."""
        if self.targets is None:
            return self.outputs.reshape(len(self.outputs), -1).T
        return torch.stack([select(self.outputs, target) for target in self.targets])

    def _taken(self, stacked: Tensor, target: Any) -> Tensor:
        """What belongs to a target in a tensor (targets, batch, \\*any)."""
        if target is None and self.targets is None and self.outputs[0].numel() > 1:
            return self._by_row(stacked)
        rows = torch.arange(len(self.outputs), device=stacked.device)
        at = places(target, self.targets, self.outputs)
        return stacked[torch.tensor(at, device=stacked.device), rows]

    def _by_row(self, stacked: Tensor) -> Tensor:
        """Rows first: (batch, targets, \\*any), or (batch, \\*out, \\*any) for every output."""
        rows = stacked.movedim(0, 1)
        if self.targets is not None:
            return rows
        return rows.reshape(*self.outputs.shape, *rows.shape[2:])


def _ledgers(
    sites: tuple[tuple[Site, ...], ...], tensors: Mapping[str, Tensor]
) -> tuple[Mapping[Site, Tensor], ...]:
    return tuple(
        MappingProxyType(dict(zip(each, in_order(f"ledger.{i}", tensors), strict=True)))
        for i, each in enumerate(sites)
    )


def _flat(tensor: Tensor, start: int) -> Tensor:
    """Dimensions from ``start`` on as one; there is one of size 1 where there are none."""
    return tensor.unsqueeze(-1).flatten(start)
