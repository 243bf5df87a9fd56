"""A results folder: ``plan.json``, ``provenance.json`` and the records, or why it is none."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comparisons.records.differences import differences
from comparisons.records.lock import held

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["FORMAT", "FolderError", "ResultsFolder"]

FORMAT = 1
SHOWN = 5


class FolderError(ValueError):
    """A folder that a run cannot go on in; nothing in it was changed."""


@dataclass(frozen=True)
class ResultsFolder:
    """The folder of a suite's run.

    Attributes:
        path: where it is.
    """

    path: Path

    def records_file(self, rank: int) -> Path:
        """The file that a process writes to."""
        return self.path / f"records-{rank}.jsonl"

    def warnings_file(self, rank: int) -> Path:
        """The file of what methods warned of in a process."""
        return self.path / f"warnings-{rank}.jsonl"

    def plan(self) -> dict[str, Any]:
        """``format``, ``suite`` and ``networks``, as the first session wrote them.

        Raises:
            FolderError: there is none, or it is of another format.
        """
        file = self.path / "plan.json"
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FolderError(
                f"{self.path} is no results folder of a suite: {file.name} cannot be read "
                f"({type(error).__name__}). {self._cure()}"
            ) from error
        version = found.get("format") if isinstance(found, dict) else None
        if version != FORMAT:
            raise FolderError(
                f"{file}: expected format {FORMAT}, got {version!r}: another version of the "
                f"comparisons wrote it. {self._cure()}"
            )
        return dict(found)

    def provenance(self) -> list[dict[str, Any]]:
        """An entry for each session that wrote."""
        file = self.path / "provenance.json"
        return list(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else []

    def open(self, suite: Mapping[str, Any], networks: Mapping[str, Any]) -> None:
        """Make the folder, or see that it holds records of the same suite and networks.

        Args:
            suite: as `describe` gives it.
            networks: name → the hashes of its weights and data.

        Raises:
            FolderError: it holds something else.
        """
        known: dict[str, Any] = {}
        if self._holds_something():
            found = self.plan()
            known = found["networks"]
            self._expect_same(
                found["suite"], suite, f"another suite than {suite['name']!r} now"
            )
            both = {name: network for name, network in networks.items() if name in known}
            self._expect_same(
                {name: known[name] for name in both}, both, "other weights or data"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        plan = {"format": FORMAT, "suite": suite, "networks": {**known, **networks}}
        _replace(self.path / "plan.json", plan)

    def _holds_something(self) -> bool:
        """A ``.part`` file is a plan that was never written whole."""
        if not self.path.is_dir():
            return self.path.exists()
        return any(file.suffix != ".part" for file in self.path.iterdir())

    def _expect_same(self, old: Any, new: Mapping[str, Any], what: str) -> None:
        found = differences(old, new)
        if found:
            more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            raise FolderError(
                f"{self.path} holds records of {what}: {'; '.join(found[:SHOWN])}{more}. "
                f"{self._cure()}"
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out until the block ends; reading stays free.

        Raises:
            FolderError: another run is in it.
        """
        with ExitStack() as holding:
            try:
                holding.enter_context(held(self.records_file(0)))
            except BlockingIOError as error:
                raise FolderError(
                    f"{self.path} is in use: another run writes its records there, and two "
                    "would measure the same. Wait until it has ended, or choose another "
                    "folder with --out."
                ) from error
            yield

    def add_provenance(self, entry: dict[str, Any]) -> None:
        """Add the entry of a session."""
        _replace(self.path / "provenance.json", [*self.provenance(), entry])

    def set_aside(self) -> Path | None:
        """Rename the folder, so that a new one can begin; where it went, if there was one.

        Raises:
            FolderError: another run is in it.
        """
        if not self.path.exists():
            return None
        target = self._aside()
        with self.held() if self.records_file(0).exists() else nullcontext():
            self.path.rename(target)
        return target

    def _aside(self) -> Path:
        number = 1
        while (target := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        return target

    def _cure(self) -> str:
        return (
            "Nothing was changed. Choose another folder with --out, or begin anew with "
            f"--fresh, which first renames this one to {self._aside()}."
        )


def _replace(path: Path, content: Any) -> None:
    """Write a JSON file whole, or not at all."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
