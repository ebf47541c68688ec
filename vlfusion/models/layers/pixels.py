"""Convolutions of single pixels (1x1) at full speed on a CPU."""

from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.layers.strips import is_traced


class PixelConv(nn.Conv2d):
    """A 1x1 convolution. Its parameters are those of `nn.Conv2d`."""

    def __init__(self, dim: int, out: int, **options: Any):
        super().__init__(dim, out, 1, **options)

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch out h w']:
        return by_pixel(x, self.weight, self.bias)


def by_pixel(x: Float[Tensor, 'batch dim h w'], weight: Float[Tensor, 'out dim 1 1'],
             bias: Float[Tensor, ' out'] | None = None) -> Float[Tensor, 'batch out h w']:
    """Apply a 1x1 convolution.

    In a thread that works alone, torch leaves 1x1 convolutions to MKL, which takes twice as long as oneDNN on an AMD
    processor with AVX-512 (`performance/film.py limits`). A dilation, which changes nothing for a single pixel, makes
    it choose oneDNN, also in the backward pass.
    """
    return F.conv2d(x, weight, bias, dilation=2 if x.device.type == 'cpu' and not is_traced() else 1)
