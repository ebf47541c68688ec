"""TF32: float32 convolutions and matrix products of NVIDIA GPUs with factors rounded to 11 significant bits.

GPUs since Ampere (2020) have it. It is several times as fast as float32, and torch uses it in convolutions by default.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 in all convolutions and matrix products inside this block.

    The switches are torch's and hold for the whole process, so threads that compute at the same time must agree. On a
    CPU they change nothing.
    """
    switches = torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul
    before = [switch.fp32_precision for switch in switches]
    try:
        _set(switches, 3 * ['tf32' if allowed else 'ieee'])
        yield
    finally:
        _set(switches, before)


def _set(switches: tuple, values: list[str]) -> None:
    # First the former switches, `allow_tf32`: torch refuses to read those when they contradict the newer ones.
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = values[0] == 'tf32', values[2] == 'tf32'
    for switch, value in zip(switches, values, strict=True):
        switch.fp32_precision = value
