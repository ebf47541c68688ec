"""What a forward pass costs: time, memory, multiplications."""

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vlfusion.benchmark.results import Cost


@dataclass(frozen=True)
class Measured:
    """One forward pass.

    Attributes:
        fused: what came out.
        seconds: the time it took.
        memory: bytes beyond what was held before, at the highest; None where the system does not tell.
        macs: multiplications with addition, where they were counted.
    """

    fused: Tensor
    seconds: float
    memory: int | None
    macs: int | None = None


def measure(forward: Callable[[], Tensor], device: torch.device, count: bool = False) -> Measured:
    """Run a forward pass once and measure it.

    Args:
        forward: the pass; it returns the fused batch.
        device: where it runs.
        count: whether to count multiplications as well, those of convolutions and matrix products, as torch counts
            them: halved floating point operations. Counting takes time, so that these seconds are no good.
    """
    memory = _PeakOfGPU(device) if device.type == 'cuda' else _PeakOfProcess()
    counter = FlopCounterMode(display=False)
    began = time.perf_counter()
    if count:
        with counter:
            fused = forward()
    else:
        fused = forward()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return Measured(fused, time.perf_counter() - began, memory.bytes(), counter.get_total_flops() // 2 or None)


class _PeakOfGPU:
    def __init__(self, device: torch.device):
        self.device = device
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        self.before = torch.cuda.memory_allocated(device)

    def bytes(self) -> int:
        return torch.cuda.max_memory_allocated(self.device) - self.before


class _PeakOfProcess:
    """By Linux's account of the resident memory, whose highest value can be set back; None on other systems."""

    def __init__(self):
        try:
            ctypes.CDLL(None).malloc_trim(0)  # what was freed counts no longer as held
            Path('/proc/self/clear_refs').write_text('5')
            self.before = _status('VmRSS')
        except (OSError, AttributeError):
            self.before = None

    def bytes(self) -> int | None:
        return None if self.before is None else max(_status('VmHWM') - self.before, 0)


def _status(field: str) -> int:
    """Bytes of a field of this process's status."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f'{field}:'))


def costs(method: str, records: Sequence[dict[str, Any]]) -> list[Cost]:
    """The costs of a method by the size of the images, from the records of its pairs.

    The median time leaves out the first pass of each size, in which multiplications may have been counted, where there
    are others.
    """
    by_size: dict[tuple[int, int], list[dict]] = {}
    for record in records:
        by_size.setdefault((record['height'], record['width']), []).append(record)
    found = []
    for (height, width), of_size in sorted(by_size.items()):
        timed = [one['seconds'] for one in of_size if one['warm']]
        memory = [one['memory'] for one in of_size if one['memory'] is not None]
        macs = next((one['macs'] for one in of_size if one['macs']), None)
        found.append(Cost(method, height, width, len(of_size), of_size[0]['parameters'], macs,
                          median(timed or [one['seconds'] for one in of_size]), max(memory, default=None),
                          of_size[0]['device']))
    return found
