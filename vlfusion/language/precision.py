"""Floating-point precisions and devices of the models in the language stage."""

import torch

from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.system.devices import with_index

DTYPES = ('float32', 'float16', 'bfloat16')


def torch_dtype(part: str, dtype: str) -> torch.dtype:
    """Return the dtype of a name in `DTYPES`.

    Args:
        part: the name of the captioner, LLM or encoder, for the error message.
        dtype: the name of the dtype.

    Raises:
        ConfigError: the name is unknown.
    """
    if dtype not in DTYPES:
        raise ConfigError(f'{part} has no dtype {dtype!r}.', did_you_mean(str(dtype), DTYPES))
    return getattr(torch, dtype)


def torch_device(device: str) -> str:
    """Return torch's name of a device; `auto` is a GPU if there is one, else the CPU. `cuda` gets its index.

    >>> torch_device('cpu')
    'cpu'
    """
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    return with_index(device)
