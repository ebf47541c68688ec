"""Autocast on any device; on one that has none, such as `meta`, nothing is switched."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Compute in the precision of the tensors inside this block."""
    return torch.autocast(device.type, enabled=False) if _has_autocast(device) else nullcontext()


def autocast_of_now(device: torch.device) -> Callable[[], AbstractContextManager]:
    """Return a function that makes a context, for a later block, which restores the autocast of this moment.

    Each thread needs a context of its own.
    """
    if not _has_autocast(device):
        return nullcontext
    return partial(torch.autocast, device.type, dtype=torch.get_autocast_dtype(device.type),
                   enabled=torch.is_autocast_enabled(device.type))


def _has_autocast(device: torch.device) -> bool:
    return torch.amp.is_autocast_available(device.type)
