"""Gaussian and Laplacian pyramids of images of any size.

Burt and Adelson, "The Laplacian pyramid as a compact image code", IEEE Transactions on Communications 31(4), 1983, with
the binomial kernel (their a = 3/8). Results equal those of OpenCV's pyrDown and pyrUp, also at borders.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion_classical.filters import binomial, reflect, separable

Images = Float[Tensor, 'batch c _ _']


def depth(images: Images, levels: int) -> int:
    """Count the halvings until the shorter side is one pixel, at most `levels`."""
    return min(levels, min(images.shape[-2:]).bit_length() - 1)


def shrink(x: Images) -> Images:
    """REDUCE (eq. 1): blur, then keep every other row and column, starting with the first."""
    return separable(reflect(x, 2), binomial(x), stride=2)


def expand(x: Images, size: tuple[int, int]) -> Images:
    """EXPAND (eq. 2): interpolate to `size`, about twice the size of `x`, by the same kernel."""
    for dim in (2, 3):
        length = x.shape[dim]
        before = x.narrow(dim, min(1, length - 1), 1)  # mirrored; the far end is repeated
        around = torch.cat((before, x, x.narrow(dim, length - 1, 1)), dim)
        left, middle, right = (around.narrow(dim, start, length) for start in range(3))
        doubled = torch.stack(((left + 6 * middle + right) / 8, (middle + right) / 2), dim + 1)
        x = doubled.flatten(dim, dim + 1).narrow(dim, 0, size[dim - 2])
    return x


def gaussian_pyramid(x: Images, levels: int) -> list[Images]:
    """Return the images and their `levels` halvings, finest first."""
    pyramid = [x]
    for _ in range(levels):
        pyramid.append(shrink(pyramid[-1]))
    return pyramid


def laplacian_pyramid(x: Images, levels: int) -> list[Images]:
    """Return the details that each halving loses (eq. 3), finest first, and then the coarsest images."""
    gaussians = gaussian_pyramid(x, levels)
    details = [fine - expand(coarse, fine.shape[-2:]) for fine, coarse in pairwise(gaussians)]
    return [*details, gaussians[-1]]


def collapse(pyramid: list[Images]) -> Images:
    """Restore the images from their Laplacian pyramid."""
    *details, x = pyramid
    for detail in reversed(details):
        x = expand(x, detail.shape[-2:]) + detail
    return x
