"""``peak_bytes``: the most memory that a function holds at once."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.profiler import ProfilerActivity, profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["peak_bytes"]


def peak_bytes(function: Callable[[], Any], *, device: torch.device | None = None) -> int:
    """The most bytes that PyTorch's allocator held at once during ``function``, beyond before.

    On the CPU it is read from the profiler's record of every allocation and release: exact,
    but blind to memory that kernels take elsewhere. On a GPU it is the caching allocator's
    own peak, which is reset.

    Args:
        function: called once; call it before, so that what it keeps is not counted.
        device: where its tensors are. Default: the CPU.

    Returns:
        int: 0 or more.

    >>> import torch
    >>> from captum_ilin.metrics import peak_bytes
    >>> peak_bytes(lambda: torch.zeros(1000) + 1) >= 2 * 4000
    True
    """
    if device is not None and device.type == "cuda":
        return _on_gpu(function, device)
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


def _on_gpu(function: Callable[[], Any], device: torch.device) -> int:
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    function()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


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
