"""The precisions that a model of the language stage may run in."""

import torch

from vlfusion.errors import ConfigError, did_you_mean

DTYPES = ('float32', 'float16', 'bfloat16')


def torch_dtype(part: str, dtype: str) -> torch.dtype:
    """The dtype of a name in `DTYPES`.

    Args:
        part: the captioner, LLM or encoder that asks, for the error message.
        dtype: its name.

    Raises:
        ConfigError: there is none of that name.
    """
    if dtype not in DTYPES:
        raise ConfigError(f'{part} knows no dtype {dtype!r}.', did_you_mean(str(dtype), DTYPES))
    return getattr(torch, dtype)
