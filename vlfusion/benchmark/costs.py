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
        fused: what came out.
        seconds: the time it took.
        memory: bytes beyond what was held before, at the highest; None where the system does not tell.
    """

    fused: Tensor
    seconds: float
    memory: int | None


def measure(forward: Callable[[], Tensor], device: torch.device) -> Measured:
    """Run a forward pass once and measure it.

    Args:
        forward: the pass; it returns the fused batch.
        device: where it runs.
    """
    memory = peak(device)
    began = time.perf_counter()
    fused = forward()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return Measured(fused, time.perf_counter() - began, memory.bytes())


def count_macs(forward: Callable[[], Tensor], model: nn.Module, compute: bool = True) -> int | None:
    """Multiplications with addition of a forward pass: half of what torch counts as floating point operations, which
    are those of convolutions and matrix products. None where there are none, or the pass cannot be counted.

    The pass runs once more, but on tensors of shapes without numbers if it can; a model without weights is not
    counted at all, for what it does is something else.

    Args:
        forward: the pass, of a whole image.
        model: what runs in it.
        compute: whether a model that cannot run on shapes alone may run on numbers; not where memory is too small.
    """
    if not any(True for _ in model.parameters()):
        return None
    for shapes in (FakeTensorMode(allow_non_fake_inputs=True), *([nullcontext()] if compute else ())):
        counter = FlopCounterMode(display=False)
        try:
            with shapes, counter, at_once():
                forward()
            return counter.get_total_flops() // 2 or None
        except Exception:  # whatever a model does with numbers that are not there
            continue
    return None


def costs(method: str, records: Sequence[dict[str, Any]]) -> list[Cost]:
    """The costs of a method by the size of the images, from the records of its pairs.

    The first pass after a model was loaded counts for neither time nor memory, where there are others.
    """
    by_size: dict[tuple[int, int], list[dict]] = {}
    for record in records:
        by_size.setdefault((record['height'], record['width']), []).append(record)
    found = []
    for (height, width), of_size in sorted(by_size.items()):
        warm = [one for one in of_size if one['warm']] or of_size
        memory = [one['memory'] for one in warm if one['memory'] is not None]
        macs = next((one['macs'] for one in of_size if one['macs']), None)
        found.append(Cost(method=method, height=height, width=width, pairs=len(of_size),
                          parameters=of_size[0]['parameters'], macs=macs,
                          seconds=median(one['seconds'] for one in warm), memory=max(memory, default=None),
                          device=of_size[0]['device']))
    return found
