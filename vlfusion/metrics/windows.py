"""Local statistics: the mean, variance and covariance of images in a window around each place."""

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.imaging.blur import Window, blurred, filtered
from vlfusion.metrics.sharing import shared

#: A smaller variance, in squared grey levels, is rounding: a single pixel that is one level off gives more.
FLAT = 1e-8


@cache
def uniform(width: int) -> Window:
    """Equal weights with the sum 1."""
    return (1 / width,) * width


#: `blurred`, computed once for all metrics of a picture.
smooth = shared(blurred)


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
