"""The file of a stored map: named tensors and text, in the safetensors format.

The format holds numbers and text only, so that reading a file runs no code. A digest over both
tells a file that was changed since; it is no signature.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import torch
from torch import Tensor

from captum_ilin.errors import (
    StoredFileError,
    StoredFileExistsError,
    StoredFilePackageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["in_order", "numbered", "read", "write"]

FORMAT = "captum_ilin.StoredMap"
VERSION = 1


def write(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    *,
    overwrite: bool,
) -> None:
    """Write a file in one step: whole, or not at all.

    Raises:
        StoredFileError: the folder does not exist, or a dtype is none of the format's.
        StoredFileExistsError: the file exists, and ``overwrite`` is not set.
        StoredFilePackageError: safetensors is not installed.
    """
    safetensors = _safetensors()
    path = Path(path)
    _check_place(path, overwrite=overwrite)
    named = {name: _plain(tensor) for name, tensor in tensors.items()}
    text = {**metadata, "format": FORMAT, "format_version": str(VERSION)}
    text["sha256"] = _digest(named, text)
    with _beside(path) as temporary:
        safetensors.save_file(named, temporary, metadata=text)


def read(
    path: str | os.PathLike[str], device: str | torch.device
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a file, checked.

    Raises:
        StoredFileError: no such file, damaged, not one of ours, or of a newer version.
        StoredFilePackageError: safetensors is not installed.
    """
    _safetensors()
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise StoredFileError(f"There is no file {str(path)!r}. Check its name and folder.")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
            _check_format(path, metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise StoredFileError(
            f"{str(path)!r} is no safetensors file, or only a part of one: {error}. Load what "
            "`StoredMap.save` wrote, or save the map again."
        ) from error
    _check_digest(path, tensors, metadata)
    return {name: tensor.to(device) for name, tensor in tensors.items()}, metadata


def numbered(name: str, tensors: Iterable[Tensor]) -> dict[str, Tensor]:
    """``name.0``, ``name.1``, ... → the tensors."""
    return {f"{name}.{number}": tensor for number, tensor in enumerate(tensors)}


def in_order(name: str, tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """The reverse: those that are called ``name`` and a number."""
    found: list[Tensor] = []
    while f"{name}.{len(found)}" in tensors:
        found.append(tensors[f"{name}.{len(found)}"])
    return tuple(found)


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise StoredFilePackageError(
            "Maps are stored by safetensors, which is not installed. Install it with: "
            'python -m pip install "captum-ilin[save]"'
        ) from error
    return safetensors.torch


def _check_place(path: Path, *, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise StoredFileError(
            f"{str(path)!r} cannot be written, because its folder does not exist. Make it: "
            "`Path(...).parent.mkdir(parents=True)`."
        )
    if path.is_dir():
        raise StoredFileError(f"{str(path)!r} is a folder. Give the name of a file.")
    if path.exists() and not overwrite:
        raise StoredFileExistsError(
            f"{str(path)!r} exists, and is left as it is. Choose another name, or pass "
            "overwrite=True to replace it."
        )


def _plain(tensor: Tensor) -> Tensor:
    """The numbers alone, in a memory of their own, which the format asks for."""
    return (
        tensor.detach()
        .cpu()
        .resolve_conj()
        .resolve_neg()
        .clone(memory_format=torch.contiguous_format)
    )


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A file to write beside ``path``, which takes its place when all went well."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # what this process gives its files
        yield temporary
        temporary.chmod(mode)  # safetensors makes files that only their owner reads
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Of every name, dtype, shape, number and text but the digest itself."""
    text = {name: value for name, value in metadata.items() if name != "sha256"}
    found = hashlib.sha256(json.dumps(text, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _check_format(path: Any, metadata: Mapping[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise StoredFileError(
            f"{str(path)!r} holds no stored map: its metadata say format "
            f"{metadata.get('format')!r}, expected {FORMAT!r}. Load what `StoredMap.save` "
            "wrote."
        )
    version = metadata.get("format_version", "")
    if not version.isdecimal() or int(version) != VERSION:
        raise StoredFileError(
            f"{str(path)!r} is of format version {version or 'unknown'}, and this captum_ilin "
            f"reads version {VERSION}. It was written by captum_ilin "
            f"{metadata.get('captum_ilin', 'of an unknown version')}: install that one or a "
            "newer."
        )


def _check_digest(
    path: Any, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    if metadata.get("sha256") != _digest(tensors, metadata):
        raise StoredFileError(
            f"{str(path)!r} was changed after it was written: its numbers or metadata do not "
            "have the digest that it states. Save the map again."
        )
