"""Small image filters, and ways to extend an image beyond its border."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, 'batch c _ _']


def reflect(x: Images, pad: int) -> Images:
    """Extend by mirroring about the outermost pixels, without repeating them, at any size (unlike torch)."""
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
    """Filter rows and columns by one kernel, at the places where the kernel lies inside the image."""
    channels = x.shape[1]
    kernel = kernel.to(x.dtype).expand(channels, 1, 1, -1)
    rows = F.conv2d(x, kernel, stride=(1, stride), groups=channels)
    return F.conv2d(rows, kernel.mT, stride=(stride, 1), groups=channels)


def laplacian(x: Images) -> Images:
    """Sum the four neighbours minus four times the pixel, at the pixels whose neighbours lie inside the image."""
    # In this order every sum is exact where the image is flat, so the result there is zero without rounding noise.
    return x[..., :-2, 1:-1] + x[..., 1:-1, :-2] - 4 * x[..., 1:-1, 1:-1] + x[..., 1:-1, 2:] + x[..., 2:, 1:-1]


def gaussian(radius: int, sigma: float, device: torch.device) -> Float[Tensor, ' k']:
    """Gaussian kernel of `2 * radius + 1` taps whose sum is 1."""
    place = torch.arange(-radius, radius + 1, dtype=torch.float64, device=device)
    taps = torch.exp(-place.square() / (2 * sigma ** 2))
    return taps / taps.sum()


def binomial(like: Tensor) -> Float[Tensor, '5']:
    """The kernel `[1, 4, 6, 4, 1] / 16`, made on the device of `like`."""
    kernel = like.new_full((5,), 1 / 16)
    kernel[1:4], kernel[2] = 4 / 16, 6 / 16
    return kernel


def box_mean(x: Images, radius: int) -> Images:
    """Average a square of side `2 * radius + 1` around each pixel, using only the part inside the image."""
    options = dict(stride=1, count_include_pad=False)
    rows = F.avg_pool2d(x, (1, 2 * radius + 1), padding=(0, radius), **options)
    return F.avg_pool2d(rows, (2 * radius + 1, 1), padding=(radius, 0), **options)
