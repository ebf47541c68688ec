"""Separable filters that keep the size of an image, and what they do at its border."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, 'batch c _ _']


def reflect(x: Images, pad: int) -> Images:
    """Extend by mirroring about the outermost pixels, which are not repeated; unlike torch's, at any size."""
    for dim in (2, 3):
        last = x.shape[dim] - 1
        position = torch.arange(-pad, last + pad + 1, device=x.device).abs()
        if last:
            position = last - (position % (2 * last) - last).abs()
        x = x.index_select(dim, position.clamp(max=last))
    return x


def replicate(x: Images, pad: int) -> Images:
    """Extend by repeating the outermost pixels."""
    return F.pad(x, (pad,) * 4, mode='replicate')


def separable(x: Images, kernel: Float[Tensor, ' k'], stride: int = 1) -> Images:
    """Filter rows and columns by one kernel, where the whole kernel lies inside the image."""
    channels = x.shape[1]
    kernel = kernel.to(x).expand(channels, 1, 1, -1)
    rows = F.conv2d(x, kernel, stride=(1, stride), groups=channels)
    return F.conv2d(rows, kernel.mT, stride=(stride, 1), groups=channels)


def laplacian(x: Images) -> Images:
    """The four neighbours less four times the pixel, where all four lie inside the image."""
    # In this order every sum is exact where the image is flat: no rounding noise takes the place of zero.
    return x[..., :-2, 1:-1] + x[..., 1:-1, :-2] - 4 * x[..., 1:-1, 1:-1] + x[..., 1:-1, 2:] + x[..., 2:, 1:-1]


def gaussian(radius: int, sigma: float) -> Float[Tensor, ' k']:
    """A Gaussian kernel of `2 * radius + 1` taps whose sum is 1."""
    taps = torch.exp(-torch.arange(-radius, radius + 1, dtype=torch.float64).square() / (2 * sigma ** 2))
    return taps / taps.sum()


def box_mean(x: Images, radius: int) -> Images:
    """The mean over the part of a square of side `2 * radius + 1` that lies inside the image."""
    options = dict(stride=1, count_include_pad=False)
    rows = F.avg_pool2d(x, (1, 2 * radius + 1), padding=(0, radius), **options)
    return F.avg_pool2d(rows, (2 * radius + 1, 1), padding=(radius, 0), **options)
