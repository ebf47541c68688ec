"""Devices by name, checked before any work begins."""

import torch
from mmengine.device import get_device

from vlfusion.errors import ConfigError


def device_of(name: str | None = None, dtype: torch.dtype = torch.float32) -> torch.device:
    """Return the device of a name such as `cpu` or `cuda:1`; by default a GPU if there is one.

    Args:
        name: torch's name of the device.
        dtype: data type that the device must support.

    Raises:
        ConfigError: the device does not exist or cannot be used.
    """
    name = name or get_device()
    try:
        torch.ones(1, device=name, dtype=dtype).item()
        return torch.device(name)
    except (RuntimeError, AssertionError, TypeError) as error:
        cause = str(error).strip().partition('\n')[0].rstrip('.')
        raise ConfigError(f'The device {name!r} cannot be used: {cause}.',
                          'Give cpu, or cuda if there is a GPU (cuda:1 is the second).') from error
