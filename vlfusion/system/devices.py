"""Devices by name, found unusable before any work is done."""

import torch
from mmengine.device import get_device

from vlfusion.errors import ConfigError


def device_of(name: str | None = None, dtype: torch.dtype = torch.float32) -> torch.device:
    """The device of a name such as `cpu` or `cuda:1`; by default a GPU where there is one.

    Args:
        name: as torch knows it.
        dtype: what it must be able to compute with.

    Raises:
        ConfigError: there is no such device, or it is not usable.
    """
    name = name or get_device()
    try:
        torch.ones(1, device=name, dtype=dtype).item()
        return torch.device(name)
    except (RuntimeError, AssertionError, TypeError) as error:
        cause = str(error).strip().partition('\n')[0].rstrip('.')
        raise ConfigError(f'The device {name!r} cannot be used: {cause}.',
                          'Give cpu, or cuda where there is a GPU (cuda:1 is the second).') from error
