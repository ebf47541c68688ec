"""The terms of SDNet's loss (Zhang and Ma, IJCV 2021) as the released code computes them, on images in [-1, 1]."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, mse_loss

Image = Float[Tensor, 'batch 1 h w']

_LAPLACIAN = ((0., 1., 0.), (1., -4., 1.), (0., 1., 0.))
_BLUR = ((0.0947, 0.1183, 0.0947), (0.1183, 0.1478, 0.1183), (0.0947, 0.1183, 0.0947))  # a Gaussian, rounded


def _filtered(image: Tensor, kernel: tuple) -> Tensor:
    return conv2d(image, torch.tensor(kernel).to(image)[None, None], padding=1)  # 0, mid-grey, beyond the border


def intensity_loss(fused: Image, first: Image, second: Image, second_weight: float) -> Float[Tensor, '']:
    """`|F - S_1|^2 + w |F - S_2|^2`, means over pixels."""
    return mse_loss(fused, first) + second_weight * mse_loss(fused, second)


def adaptive_gradient_loss(fused: Image, first: Image, second: Image) -> Float[Tensor, '']:
    """`s |grad F - grad S_2|^2 + (1 - s) |grad F - grad S_1|^2`, mean over pixels, with the Laplacian as `grad`.

    The decision `s` is 1 where the second source, after a low-pass filter against noise, has the larger gradient.
    """
    strength_first, strength_second = (_filtered(_filtered(source, _BLUR), _LAPLACIAN).abs()
                                       for source in (first, second))
    target = torch.where(strength_second > strength_first, _filtered(second, _LAPLACIAN), _filtered(first, _LAPLACIAN))
    return mse_loss(_filtered(fused, _LAPLACIAN), target)
