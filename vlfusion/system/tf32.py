"""TF32: float32 convolutions and matrix products of NVIDIA GPUs with factors rounded to 11 significant bits.

GPUs since Ampere (2020) have it. It is several times as fast as float32, and torch uses it in convolutions by default.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import RLock

import torch

_lock = RLock()
#: Choices of the blocks that run now, in the order in which they began, each in a list of its own.
_choices: list[list[bool]] = []
#: Restores what was set before the first of them.
_restore = ExitStack()


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 in all convolutions and matrix products inside this block.

    The switches are torch's and hold for the whole process, so threads that compute at the same time must agree. After
    the last of their blocks the switches are as before the first. On a CPU they change nothing.
    """
    choice = [allowed]
    with _lock:
        if not _choices:
            _restore.callback(_set, *_state())
        _choices.append(choice)
        _allow(allowed)
    try:
        yield
    finally:
        with _lock:
            _choices[:] = [other for other in _choices if other is not choice]
            _allow(*_choices[-1]) if _choices else _restore.close()


def _allow(allowed: bool) -> None:
    on_the_cpu = torch.backends.mkldnn.matmul.fp32_precision
    _set([*3 * ['tf32' if allowed else 'ieee'], on_the_cpu], 'high' if allowed else 'highest')


def _state() -> tuple[list[str], str]:
    """Return the values of the switches and of the former one of matrix products, as `_set` takes them."""
    values = [switch.fp32_precision for switch in _switches()]
    try:
        return values, torch.get_float32_matmul_precision()
    except RuntimeError:  # torch refuses to read it, as it contradicts the newer ones
        return values, 'high' if values[2] == 'tf32' else 'highest'


def _switches() -> tuple:
    backends = torch.backends
    return backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul, backends.mkldnn.matmul


def _set(values: list[str], former: str) -> None:
    # First the former switches, which change newer ones: torch refuses to read them when they contradict the newer.
    torch.backends.cudnn.allow_tf32 = values[0] == 'tf32'
    torch.set_float32_matmul_precision(former)
    for switch, value in zip(_switches(), values, strict=True):
        switch.fp32_precision = value
