"""The terms of SDNet's loss (Zhang and Ma, IJCV 2021), as in the released code, on images in [-1, 1]."""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, mse_loss

from vlfusion.losses import symmetric_kernel

Image = Float[Tensor, 'batch 1 h w']


def _filtered(image: Tensor, corner: float, edge: float, middle: float) -> Tensor:
    return conv2d(image, symmetric_kernel(image, corner, edge, middle), padding=1)  # beyond the border lies 0, mid-grey


_laplacian = partial(_filtered, corner=0., edge=1., middle=-4.)
_blurred = partial(_filtered, corner=0.0947, edge=0.1183, middle=0.1478)  # a Gaussian, rounded


def intensity_loss(fused: Image, first: Image, second: Image, second_weight: float) -> Float[Tensor, '']:
    """Compute `|F - S_1|^2 + w |F - S_2|^2`, averaged over pixels."""
    return mse_loss(fused, first) + second_weight * mse_loss(fused, second)


def adaptive_gradient_loss(fused: Image, first: Image, second: Image) -> Float[Tensor, '']:
    """Compute `s |grad F - grad S_2|^2 + (1 - s) |grad F - grad S_1|^2`, averaged over pixels; `grad` is the Laplacian.

    The decision `s` is 1 where the second source has the larger gradient, after a low-pass filter against noise.
    """
    strength_first, strength_second = (_laplacian(_blurred(source)).abs() for source in (first, second))
    target = torch.where(strength_second > strength_first, _laplacian(second), _laplacian(first))
    return mse_loss(_laplacian(fused), target)
