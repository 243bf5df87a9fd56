"""What a method costs: passes counted, wall time, and the peak of allocated memory."""

from __future__ import annotations

import os
import statistics
import sys
import time
import warnings
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Counted", "median_seconds", "peak_bytes"]


class Counted(nn.Module):
    """A model that counts the rows that go forward and backward through it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.counts = {"forwards": 0, "backwards": 0}

    @property
    def forwards(self) -> int:
        """Rows that went forward so far."""
        return self.counts["forwards"]

    @property
    def backwards(self) -> int:
        """Rows that went backward so far."""
        return self.counts["backwards"]

    def forward(self, *args: Any) -> Tensor:
        outputs: Tensor = self.model(*args)
        self.counts["forwards"] += len(outputs)
        if outputs.grad_fn is not None:
            outputs.grad_fn.register_prehook(partial(self._count_backward, len(outputs)))
        return outputs

    def _count_backward(self, rows: int, gradients: Any) -> None:
        """Called by the node: a frozen network leaves the hooks of tensors out."""
        self.counts["backwards"] += rows


BUDGET = 2.0  # seconds after which a slow function is not repeated again


def median_seconds(function: Callable[[], Any], repeats: int) -> float:
    """Median wall time of a function that has run before; fewer repeats if they take long."""
    times: list[float] = []
    while len(times) < repeats and sum(times) < BUDGET:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_bytes(function: Callable[[], Any]) -> int:
    """Most bytes that PyTorch's CPU allocator held at once during ``function``, beyond before.

    Read from the profiler's record of every allocation and release; exact, but blind to
    memory that kernels take elsewhere.
    """
    with warnings.catch_warnings(), _quiet_stderr():
        warnings.simplefilter("ignore")
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            function()
    assert profiler.profiler is not None
    results: Any = profiler.profiler.kineto_results
    held = peak = 0
    changes = [event for event in results.events() if event.name() == "[memory]"]
    for event in sorted(changes, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """The profiler's C++ code writes a line for every start and stop."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
