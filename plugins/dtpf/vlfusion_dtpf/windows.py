"""Prediction in overlapping windows that Gaussian weights blend, as DTPF's authors test."""

from collections.abc import Callable
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor


def fuse_in_windows(fuse: Callable[[Tensor, Tensor], Tensor], source_a: Float[Tensor, 'batch a h w'],
                    source_b: Float[Tensor, 'batch b h w'], size: int = 128,
                    stride: int = 64) -> Float[Tensor, 'batch out h w']:
    """Fuse windows, and average them at each pixel with the weights of a Gaussian around the middle of a window.

    Its standard deviation is a quarter of a window. The last window of a row or column ends with the image.

    Args:
        fuse: function of the windows of both sources.
        source_a, source_b: the sources, at least `size` high and wide.
        size: side of a window in pixels.
        stride: distance of neighbouring windows in pixels, at most `size`.
    """
    offset = torch.arange(size, dtype=source_a.dtype, device=source_a.device) - (size - 1) / 2
    gauss = torch.exp(-8 * (offset / size)**2)
    weight = gauss[:, None] * gauss
    height, width = source_a.shape[-2:]
    total, weights = 0., source_a.new_zeros(height, width)
    for top, left in product(_places(height, size, stride), _places(width, size, stride)):
        window = (..., slice(top, top + size), slice(left, left + size))
        part = fuse(source_a[window], source_b[window])
        if not isinstance(total, Tensor):
            total = part.new_zeros(*part.shape[:2], height, width)
        total[window] += weight * part
        weights[window] += weight
    return total / weights


def _places(length: int, size: int, stride: int) -> list[int]:
    """Return where windows begin along a side.

    >>> _places(300, 128, 64)
    [0, 64, 128, 172]
    """
    return sorted({*range(0, length - size + 1, stride), length - size})
