"""What a stored map says of itself in words: the metadata of its file, and back.

Metadata are text to text; what has structure is JSON, which keeps every float and int exactly.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from captum_ilin.certificate import Certificate
from captum_ilin.errors import InputTypeError, StoredFileError
from captum_ilin.location import Site

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from captum_ilin.stored import StoredMap

__all__ = ["Described", "check_metadata", "described", "text_of", "versions"]

_OWN = "user."  # in front of the names of the user's own metadata


class Described(NamedTuple):
    """What the text of a file tells."""

    inputs_are_a_tuple: bool
    targets: tuple[Any, ...] | None
    sites: tuple[tuple[Site, ...], ...] | None
    certificate: Certificate
    metadata: Mapping[str, str]
    versions: Mapping[str, str]


def text_of(stored: StoredMap) -> dict[str, str]:
    """The metadata of the map's file."""
    inputs = stored.inputs if isinstance(stored.inputs, tuple) else (stored.inputs,)
    ledgers = stored.ledgers
    return {
        **stored.versions,
        "rules": stored.certificate.rules,
        "targets": json.dumps(stored.targets),
        "inputs_are_a_tuple": json.dumps(isinstance(stored.inputs, tuple)),
        **_shapes("input", inputs),
        **_shapes("output", [stored.outputs]),
        "ledger": json.dumps(None if ledgers is None else [list(each) for each in ledgers]),
        "certificate": json.dumps(_certificate_as_dict(stored.certificate)),
        **{f"{_OWN}{name}": value for name, value in stored.metadata.items()},
    }


def described(path: Any, text: Mapping[str, str]) -> Described:
    """The reverse.

    Raises:
        StoredFileError: something is missing, or not what ``text_of`` writes.
    """
    try:
        return Described(
            inputs_are_a_tuple=json.loads(text["inputs_are_a_tuple"]),
            targets=_targets(json.loads(text["targets"])),
            sites=_sites(json.loads(text["ledger"])),
            certificate=_certificate(json.loads(text["certificate"])),
            metadata=_starting(_OWN, text),
            versions=MappingProxyType({name: text[name] for name in versions()}),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoredFileError(
            f"The metadata of {str(path)!r} are not those of a stored map: "
            f"{type(error).__name__}, {error}. Load what `StoredMap.save` wrote."
        ) from error


def versions() -> dict[str, str]:
    """What made the map."""
    return {
        "captum_ilin": str(vars(sys.modules["captum_ilin"])["__version__"]),
        "torch": str(torch.__version__),
        "captum": version("captum"),
    }


def check_metadata(metadata: Any) -> Mapping[str, str]:
    """A mapping of text to text, as it is now.

    Raises:
        InputTypeError: anything else.
    """
    found = {} if metadata is None else metadata
    if not isinstance(found, Mapping):
        raise InputTypeError(
            f"metadata must be a dict of text to text, but got {type(found).__name__}."
        )
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InputTypeError(
                f"metadata must be text to text, but {name!r} is {value!r}. Write numbers and "
                "structure as text, for example by json.dumps."
            )
    return MappingProxyType(dict(found))


def _shapes(name: str, tensors: Sequence[Tensor]) -> dict[str, str]:
    return {
        f"{name}_shapes": json.dumps([list(tensor.shape) for tensor in tensors]),
        f"{name}_dtypes": json.dumps([_name(tensor.dtype) for tensor in tensors]),
    }


def _targets(listed: list[Any] | None) -> tuple[Any, ...] | None:
    """JSON has lists where targets have tuples: of indices, or of indices for each row."""
    if listed is None:
        return None
    return tuple(_target(each) for each in listed)


def _target(each: Any) -> Any:
    if isinstance(each, list) and each and isinstance(each[0], list):
        return [tuple(row) for row in each]
    return tuple(each) if isinstance(each, list) else each


def _sites(ledgers: list[Any] | None) -> tuple[tuple[Site, ...], ...] | None:
    if ledgers is None:
        return None
    return tuple(tuple(Site(*site) for site in each) for each in ledgers)


def _certificate_as_dict(certificate: Certificate) -> dict[str, Any]:
    return {
        name: _name(value)
        if isinstance(value, torch.dtype)
        else dict(value)
        if isinstance(value, Mapping)
        else value
        for name, value in vars(certificate).items()
    }


def _certificate(found: dict[str, Any]) -> Certificate:
    dtypes = {name: getattr(torch, found[name]) for name in ("dtype", "precision")}
    counts = MappingProxyType(dict(found["unregistered"]))
    return Certificate(**{**found, **dtypes, "unregistered": counts})


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _starting(prefix: str, text: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(
        {
            name.removeprefix(prefix): value
            for name, value in text.items()
            if name.startswith(prefix)
        }
    )
