"""Costs of a forward pass: time, memory, multiplications."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from vlfusion.benchmark.results import Cost
from vlfusion.models.layers.strips import at_once
from vlfusion.system.footprint import peak


@dataclass(frozen=True)
class Measured:
    """One forward pass.

    Attributes:
        fused: fused batch.
        seconds: time of the pass.
        memory: peak bytes beyond those held before; None if the system does not report them.
    """

    fused: Tensor
    seconds: float
    memory: int | None


def measure(forward: Callable[[], Tensor], device: torch.device) -> Measured:
    """Run a forward pass once and measure it.

    Args:
        forward: function that runs the pass and returns the fused batch.
        device: device on which it runs.
    """
    memory = peak(device)
    began = time.perf_counter()
    fused = forward()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return Measured(fused, time.perf_counter() - began, memory.bytes())


def count_macs(forward: Callable[[], Tensor], model: nn.Module, compute: bool = True) -> int | None:
    """Count the multiply-adds of a forward pass: half of torch's floating point operations.

    torch counts convolutions and matrix products. The pass runs once more, if possible on shapes without values. A
    model without weights is not counted, because most of its operations are of other kinds.

    Args:
        forward: function that runs the pass on a whole image.
        model: model that runs in it.
        compute: whether a model that cannot run on shapes alone may run on values; false if memory is too small.

    Returns:
        The number; None if it is zero or the pass cannot be counted.
    """
    if not any(True for _ in model.parameters()):
        return None
    for shapes in (FakeTensorMode(allow_non_fake_inputs=True), *([nullcontext()] if compute else ())):
        counter = FlopCounterMode(display=False)
        try:
            with shapes, counter, at_once():
                forward()
            return counter.get_total_flops() // 2 or None
        except Exception:  # models may use the missing values in any way
            continue
    return None


def costs(method: str, records: Sequence[dict[str, Any]]) -> list[Cost]:
    """The costs of a method for each size of images, from the records of its pairs.

    Time and memory leave out the first pass after a model was loaded, unless it is the only one.
    """
    by_size: dict[tuple[int, int], list[dict]] = {}
    for record in records:
        by_size.setdefault((record['height'], record['width']), []).append(record)
    rows = []
    for (height, width), of_size in sorted(by_size.items()):
        warm = [record for record in of_size if record['warm']] or of_size
        memory = [record['memory'] for record in warm if record['memory'] is not None]
        macs = next((record['macs'] for record in of_size if record['macs']), None)
        rows.append(Cost(method=method, height=height, width=width, pairs=len(of_size),
                          parameters=of_size[0]['parameters'], macs=macs,
                          seconds=median(record['seconds'] for record in warm), memory=max(memory, default=None),
                          device=of_size[0]['device']))
    return rows
