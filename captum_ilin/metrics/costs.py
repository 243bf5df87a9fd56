"""Cost: what one call of ``attribute`` takes in passes, time and memory.

Passes are counted in rows, so that a method that puts 50 rows through the network at once
costs what one costs that puts them through one by one. They do not depend on the machine;
time and memory do.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from captum_ilin.metrics.chance import drawing_from
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.explaining import attributions_of
from captum_ilin.metrics.features import as_tuple
from captum_ilin.metrics.peak import peak_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from captum_ilin.metrics.explaining import Method
    from captum_ilin.metrics.features import Inputs

__all__ = ["Cost", "Counted", "cost", "median_seconds"]


@dataclass(frozen=True)
class Cost:
    """What one call of ``attribute`` takes, for all the rows it was given. Lower is better.

    Attributes:
        forwards, backwards: rows through the network.
        seconds: median wall time, after a first call.
        peak_bytes: the most that PyTorch's allocator held at once, beyond before; None if
            it was not asked for.

    >>> from captum_ilin.metrics import Cost
    >>> Cost(forwards=1, backwards=1, seconds=0.002, peak_bytes=4096)
    Cost(forwards=1, backwards=1, seconds=0.002, peak_bytes=4096)
    """

    forwards: int
    backwards: int
    seconds: float
    peak_bytes: int | None


def cost(
    method: Method,
    forward_func: Callable[..., Any],
    inputs: Inputs,
    *,
    target: Any = None,
    attribute_kwargs: Mapping[str, Any] | None = None,
    additional_forward_args: Any = None,
    repeats: int = 5,
    memory: bool = True,
) -> Cost:
    """Passes, warmed median time and peak memory of one attribution.

    The first call is counted and not timed; then ``repeats`` calls are timed, fewer once they
    have taken 2 seconds; one more is watched for memory. On a GPU every time is taken with
    the device idle, and the memory is the device's.

    Args:
        method: forward function → explainer, such as ``captum.attr.Saliency``.
        forward_func: what is explained.
        inputs: (batch, \\*features), or a tuple of such tensors.
        target (optional): any of Captum's target forms.
        attribute_kwargs (optional): further arguments of ``attribute``.
        additional_forward_args (optional): further arguments of ``forward_func``.
        repeats: timed calls.
        memory: whether to measure the peak as well.

    Raises:
        MetricInputError: repeats below 1.

    Cost: 1 + repeats attributions, and one more for the memory.

    >>> import torch
    >>> from captum.attr import IntegratedGradients, Saliency
    >>> from captum_ilin.metrics import cost
    >>> model, x = torch.nn.Linear(3, 2), torch.ones(4, 3)
    >>> found = cost(Saliency, model, x, target=0)
    >>> found.forwards, found.backwards, found.peak_bytes > 0
    (4, 4, True)
    >>> cost(IntegratedGradients, model, x, target=0, memory=False).forwards  # 50 steps
    200
    """
    device = as_tuple(inputs)[0].device
    counted = Counted(forward_func)

    def once(function: Callable[..., Any] = forward_func) -> tuple[Tensor, ...]:
        return attributions_of(
            method,
            function,
            inputs,
            target=target,
            additional_forward_args=additional_forward_args,
            attribute_kwargs=attribute_kwargs,
        )

    with drawing_from(0):
        once(counted)
        return Cost(
            counted.forwards,
            counted.backwards,
            median_seconds(once, repeats, device=device),
            peak_bytes(once, device=device) if memory else None,
        )


class Counted(nn.Module):
    """A forward function that counts the rows that go forward and backward through it.

    Args:
        forward_func: a module, or any other callable whose output has batch rows.

    >>> import torch
    >>> from captum_ilin.metrics import Counted
    >>> counted = Counted(torch.nn.Linear(3, 2))
    >>> counted(torch.ones(5, 3)).sum().backward()
    >>> counted.forwards, counted.backwards
    (5, 5)
    """

    def __init__(self, forward_func: Callable[..., Any]) -> None:
        super().__init__()
        self.forward_func = forward_func
        self.training = getattr(forward_func, "training", False)
        self.counts = _Counts()

    @property
    def forwards(self) -> int:
        """Rows that went forward so far."""
        return self.counts.forwards

    @property
    def backwards(self) -> int:
        """Rows that went backward so far."""
        return self.counts.backwards

    def forward(self, *args: Any) -> Any:
        """The forward function's own output."""
        outputs = self.forward_func(*args)
        if not isinstance(outputs, Tensor) or not outputs.dim():
            raise MetricInputError(
                f"forward_func returned a {type(outputs).__name__} without rows; expected a "
                "tensor, (rows, …). Wrap it: lambda *inputs: model(*inputs)[0]."
            )
        self.counts.forwards += len(outputs)
        if outputs.grad_fn is not None:
            outputs.grad_fn.register_prehook(partial(self._count_backward, len(outputs)))
        return outputs

    def _count_backward(self, rows: int, gradients: Any) -> None:
        """Called by the node: a frozen network leaves the hooks of tensors out."""
        self.counts.backwards += rows


@dataclass
class _Counts:
    """Shared with every copy: a method may explain a copy of the model it was given."""

    forwards: int = 0
    backwards: int = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> _Counts:
        return self


def median_seconds(
    function: Callable[[], Any],
    repeats: int = 5,
    *,
    budget: float = 2.0,
    device: torch.device | None = None,
) -> float:
    """Median wall time of a function that has run before.

    Args:
        function: called up to ``repeats`` times.
        repeats: how often.
        budget: seconds after which it is not called again; the first call is always made.
        device: a GPU that is waited for before and after.

    Raises:
        MetricInputError: repeats below 1.

    >>> from captum_ilin.metrics import median_seconds
    >>> median_seconds(lambda: sum(range(10))) >= 0
    True
    """
    if repeats < 1:
        raise MetricInputError(f"repeats is {repeats}; expected 1 or more.")
    times: list[float] = []
    while not times or (len(times) < repeats and sum(times) < budget):
        _wait_for(device)
        start = time.perf_counter()
        function()
        _wait_for(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _wait_for(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
