"""``Shard``: this process among those that share a run, under ``torchrun`` or alone.

The processes only wait for one another and hand on a few words; records go to a file of each.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.distributed as dist

from comparisons.records.digest import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Shard", "StoppedByFirstError", "joined"]

Thing = TypeVar("Thing")
PATIENCE = timedelta(days=7)  # a slow process is no failure


class StoppedByFirstError(RuntimeError):
    """The first process could not begin; it says why itself."""


@dataclass(frozen=True)
class Shard:
    """One of the processes of a run.

    Attributes:
        rank: its number, from 0.
        world_size: how many there are.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it speaks for all: plan, progress, report."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all have come here."""
        if self.world_size > 1:
            dist.barrier()

    def first_does(self, work: Callable[[], None]) -> None:
        """Only the first process does it; all go on after it.

        Raises:
            StoppedByFirstError: elsewhere, if the work raised in the first process.
        """
        said: list[str | None] = [None]
        try:
            if self.is_first:
                work()
        except BaseException as error:
            said = [str(error)]
            raise
        finally:
            if self.world_size > 1:
                dist.broadcast_object_list(said, src=0)
        if said[0] is not None:
            raise StoppedByFirstError(said[0])

    def dealt(self, units: Iterable[Thing]) -> list[Thing]:
        """This process's part of what is left, dealt in turn and kept in its order.

        Dealt in the order of digests: in the plan's own, where methods alternate, one of two
        processes would get all the slow ones.
        """
        left = list(units)
        deck = sorted(range(len(left)), key=lambda number: digest(left[number]))
        return [left[number] for number in sorted(deck[self.rank :: self.world_size])]


@contextmanager
def joined(device: str) -> Iterator[Shard]:
    """This process's shard, from what ``torchrun`` says in the environment.

    Args:
        device: "cpu" (gloo) or "cuda" (nccl, one device for each process).
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        yield Shard()
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Shard(int(os.environ["RANK"]), world_size)
    finally:
        dist.destroy_process_group()
