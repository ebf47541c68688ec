"""Sobel gradients, with the treatments of borders that the field uses."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.sharing import shared

Image = Float[Tensor, 'batch 1 h w']


@shared
def sobel(image: Image, border: str = 'constant', middle: float = 2.) -> tuple[Image, Image]:
    """Differences along x (to the right) and y (downwards), each the weighted sum of eight neighbours.

    Args:
        image: at least 2x2.
        border: padding mode of `torch.nn.functional.pad`: `constant` is black, `replicate` repeats the border pixels,
            `reflect` mirrors about them.
        middle: weight of the nearest neighbours; corners have the weight 1. 2 gives Sobel's filter, 1 Prewitt's.
    """
    image = F.pad(image, (1, 1, 1, 1), border)
    left_right, up_down = image[..., 2:] - image[..., :-2], image[..., 2:, :] - image[..., :-2, :]
    return (left_right[..., :-2, :] + middle * left_right[..., 1:-1, :] + left_right[..., 2:, :],
            up_down[..., :-2] + middle * up_down[..., 1:-1] + up_down[..., 2:])


@shared
def edge_strength(image: Image, border: str = 'constant') -> Image:
    """Magnitude of the Sobel gradient."""
    x, y = sobel(image, border)
    return (x.square() + y.square()).sqrt()


@shared
def edge_angle(image: Image, border: str = 'constant') -> Image:
    """Angle of the Sobel gradient in (-pi/2, pi/2], with y upwards; pi/2 where the gradient is vertical or zero."""
    x, y = sobel(image, border)
    return torch.where(x == 0, math.pi / 2, torch.atan(-y / x))
