"""Devices by name, checked before any work begins."""

import os
from collections.abc import Callable
from functools import partial

import torch
from mmengine.device import get_device

from vlfusion.errors import ConfigError


def with_index(name: str) -> str:
    """Return the name of a device; `cuda` gets the index of the GPU of this process.

    Processes of one machine take its GPUs in turn, by LOCAL_RANK, which torchrun sets. Without an index, torch would
    mean the current GPU of a thread, which is the first one in every new thread.

    >>> with_index('cpu'), with_index('cuda:1')
    ('cpu', 'cuda:1')
    """
    if name != 'cuda' or not torch.cuda.is_available():
        return name
    rank = os.environ.get('LOCAL_RANK', '')
    return f'cuda:{int(rank) % torch.cuda.device_count() if rank.isdecimal() else torch.cuda.current_device()}'


def choose_same_gpu() -> Callable[[], None]:
    """Return a function for a new thread that makes the current GPU of this thread its own; else it has the first."""
    if not torch.cuda.is_initialized():
        return lambda: None
    return partial(torch.cuda.set_device, torch.cuda.current_device())


def device_of(name: str | None = None, dtype: torch.dtype = torch.float32) -> torch.device:
    """Return the device of a name such as `cpu` or `cuda:1`; by default a GPU if there is one. `cuda` gets its index.

    Args:
        name: torch's name of the device.
        dtype: data type that the device must support.

    Raises:
        ConfigError: the device does not exist or cannot be used.
    """
    name = name or get_device()
    try:
        name = with_index(name)
        torch.ones(1, device=name, dtype=dtype).item()
        return torch.device(name)
    except (RuntimeError, AssertionError, TypeError) as error:
        cause = str(error).strip().partition('\n')[0].rstrip('.')
        raise ConfigError(f'The device {name!r} cannot be used: {cause}.',
                          'Give cpu, or cuda if there is a GPU (cuda:1 is the second).') from error
