"""What every metric shares: registration, the facts that reports print about it, and the check of its arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Literal

import torch
from torch import Tensor

from vlfusion.errors import DataError
from vlfusion.registry import FUSION_METRICS

Metric = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class MetricInfo:
    """What is known of a metric without running it; a metric has it as its attribute `info`.

    Attributes:
        name: the function's name, under which it is registered.
        title: the name in words.
        direction: whether `higher` or `lower` values are better.
        unit: of the value; empty for a plain number.
        range: the least and the greatest value.
        smallest: the least height and width, in pixels, for which it is defined.
        source: the publication that defines it.
    """

    name: str
    title: str
    direction: Literal['higher', 'lower']
    unit: str
    range: tuple[float, float]
    smallest: int
    source: str


def fusion_metric(*, title: str, direction: Literal['higher', 'lower'], range: tuple[float, float], source: str,
                  unit: str = '', smallest: int = 1) -> Callable[[Metric], Metric]:
    """Register a function `(fused, source_a, source_b) -> (batch,)` in `FUSION_METRICS` under its own name.

    The function may rely on its arguments: three tensors `(batch, 1, h, w)` of one shape, type (float32 or float64) and
    device, with grey levels in 0..255 and at least `smallest` pixels high and wide; anything else raises a `DataError`
    before it is called. The other arguments are the fields of `MetricInfo`.

    >>> from vlfusion.metrics import EN
    >>> EN.info.title, EN.info.unit, EN.info.range
    ('Entropy', 'bit', (0.0, 8.0))
    """
    def register(metric: Metric) -> Metric:
        info = MetricInfo(metric.__name__, title, direction, unit, range, smallest, source)

        @wraps(metric)
        def checked(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
            _check(info, {'fused': fused, 'source_a': source_a, 'source_b': source_b})
            return metric(fused, source_a, source_b)

        checked.info = info
        return FUSION_METRICS.register_module(module=checked)
    return register


def _check(info: MetricInfo, images: dict[str, Tensor]) -> None:
    shapes = {tuple(image.shape) for image in images.values()}
    shape = shapes.pop()
    if shapes or len(shape) != 4 or shape[1] != 1:
        came = ', '.join(f'{name} {tuple(image.shape)}' for name, image in images.items())
        raise DataError(f'{info.name} expects three images of one shape (batch, 1, h, w), but got {came}.',
                        'Give luminance only, and sources of the size of the fused image.')
    if min(shape[2:]) < info.smallest:
        raise DataError(f'{info.name} expects images of at least {info.smallest}x{info.smallest} pixels, '
                        f'but got {shape[2]}x{shape[3]} (height x width).',
                        'Score larger images, or leave this metric out.')
    kinds = {(image.dtype, image.device) for image in images.values()}
    if len(kinds) > 1 or images['fused'].dtype not in (torch.float32, torch.float64):
        came = ', '.join(f'{name} {image.dtype} on {image.device}' for name, image in images.items())
        raise DataError(f'{info.name} expects float32 or float64, the same for all three images, but got {came}.',
                        'Convert them, for example with `.to(fused)` or `.float()`.')
    for name, image in images.items():
        if not ((image >= 0) & (image <= 255)).all():  # also False for NaN
            raise DataError(f'{info.name} expects grey levels in 0..255, but {name} spans '
                            f'{image.min().item():g} to {image.max().item():g}.',
                            'Quantise the fused image by a protocol; multiply sources in [0, 1] by 255.')
