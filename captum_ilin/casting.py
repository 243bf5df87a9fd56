"""Autocast as it was when an op ran, for running that op again later.

Autocast casts inside the ops. The constant an op adds is the op itself, applied to zeros when
the bias is asked for; by then the caller's autocast context may be gone. The backward pass
needs none: the casts of the forward pass are in its graph, so PyTorch's advice is to leave
autocast before it.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NO_AUTOCAST", "Autocast", "autocast_now"]


@dataclass(frozen=True)
class Autocast:
    """Which devices cast automatically, and to what."""

    dtypes: tuple[tuple[str, torch.dtype], ...] = ()

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Cast inside as recorded, whatever the caller does now.

        Without autocast's cache of cast weights: it would keep what was cast in one context
        for another.
        """
        if not self.dtypes and not torch._C._is_any_autocast_enabled():
            yield
            return
        wanted = dict(self.dtypes)
        with ExitStack() as stack:
            for device in _devices():
                enabled, dtype = device in wanted, wanted.get(device)
                context = torch.autocast(device, dtype, enabled=enabled, cache_enabled=False)
                stack.enter_context(context)
            yield


NO_AUTOCAST = Autocast()


def autocast_now() -> Autocast:
    """Autocast as it is at this moment."""
    if not torch._C._is_any_autocast_enabled():
        return NO_AUTOCAST
    casting = [device for device in _devices() if torch.is_autocast_enabled(device)]
    return Autocast(tuple((device, torch.get_autocast_dtype(device)) for device in casting))


def _devices() -> list[str]:
    accelerator = torch.accelerator.current_accelerator()
    return ["cpu"] if accelerator is None else ["cpu", accelerator.type]
