"""Local statistics: the mean, variance and covariance of images in a window around each place."""

import math
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from vlfusion.metrics.sharing import shared

#: Weights of a window along one axis; the window is their outer product.
Window = tuple[float, ...]
#: A smaller variance, in squared grey levels, is rounding: a single pixel that is one level off gives more.
FLAT = 1e-8
#: Standard deviation in pixels of the Gaussian that separates intensity from detail.
DETAIL_SIGMA = 2.0


@cache
def gaussian(width: int, sigma: float) -> Window:
    """Gaussian weights with the sum 1; width and standard deviation are in pixels."""
    weights = [math.exp(-0.5 * ((i - (width - 1) / 2) / sigma) ** 2) for i in range(width)]
    return tuple(weight / sum(weights) for weight in weights)


@cache
def uniform(width: int) -> Window:
    """Equal weights with the sum 1."""
    return (1 / width,) * width


def filtered(image: Float[Tensor, 'batch c h w'], window: Window) -> Float[Tensor, 'batch c h_valid w_valid']:
    """Weighted sum along both axes, where the window fits.

    In float64, sums of shifted images are several times faster than conv2d.
    """
    for axis in (3, 2):
        size = image.shape[axis] - len(window) + 1
        total = window[0] * image.narrow(axis, 0, size)
        for shift, weight in enumerate(window[1:], 1):
            total.add_(image.narrow(axis, shift, size), alpha=weight)
        image = total
    return image


@shared
def smooth(image: Float[Tensor, 'batch c h w'], sigma: float = DETAIL_SIGMA) -> Float[Tensor, 'batch c h w']:
    """Blur by a Gaussian of three standard deviations to each side; borders are repeated."""
    radius = int(3 * sigma)
    return filtered(pad(image, (radius,) * 4, mode='replicate'), gaussian(2 * radius + 1, sigma))


@shared
def local_mean(image: Float[Tensor, 'batch 1 h w'], window: Window) -> Float[Tensor, 'batch 1 h_valid w_valid']:
    """Mean in each window."""
    return filtered(image, window)


@shared
def local_variance(image: Float[Tensor, 'batch 1 h w'], window: Window) -> Float[Tensor, 'batch 1 h_valid w_valid']:
    """Variance in each window; clipped at 0, because rounding may give less."""
    return (filtered(image.square(), window) - local_mean(image, window).square()).clamp(min=0)


@shared
def flat_variance(image: Float[Tensor, 'batch 1 h w'], window: Window) -> Float[Tensor, 'batch 1 h_valid w_valid']:
    """Variance in each window, exactly 0 where the image is flat; for metrics that divide by it."""
    variance = local_variance(image, window)
    return torch.where(variance < FLAT, 0, variance)


@shared
def local_covariance(first: Float[Tensor, 'batch 1 h w'], second: Float[Tensor, 'batch 1 h w'],
                     window: Window) -> Float[Tensor, 'batch 1 h_valid w_valid']:
    """Covariance of two images in each window."""
    return filtered(first * second, window) - local_mean(first, window) * local_mean(second, window)
