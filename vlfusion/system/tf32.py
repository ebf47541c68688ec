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
    backends = torch.backends
    switches = backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul, backends.mkldnn.matmul
    before, former = [switch.fp32_precision for switch in switches], _former_switch()
    try:
        _set(switches, [*3 * ['tf32' if allowed else 'ieee'], before[3]], 'high' if allowed else 'highest')
        yield
    finally:
        _set(switches, before, former or ('high' if before[2] == 'tf32' else 'highest'))


def _former_switch() -> str | None:
    """Return the former switch of matrix products; None if torch refuses to read it, as it contradicts the newer."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


def _set(switches: tuple, values: list[str], former: str) -> None:
    # First the former switches, which change newer ones: torch refuses to read them when they contradict the newer.
    torch.backends.cudnn.allow_tf32 = values[0] == 'tf32'
    torch.set_float32_matmul_precision(former)
    for switch, value in zip(switches, values, strict=True):
        switch.fp32_precision = value
