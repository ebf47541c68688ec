"""Autocast on any device; on one that has none, such as `meta`, nothing is switched."""

from contextlib import AbstractContextManager, nullcontext

import torch


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Compute in the precision of the tensors inside this block."""
    return torch.autocast(device.type, enabled=False) if _has_autocast(device) else nullcontext()


def autocast_of_now(device: torch.device) -> AbstractContextManager:
    """Return a context, for a later block, that restores the autocast of this moment."""
    if not _has_autocast(device):
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.get_autocast_dtype(device.type),
                          enabled=torch.is_autocast_enabled(device.type))


def _has_autocast(device: torch.device) -> bool:
    return torch.amp.is_autocast_available(device.type)
