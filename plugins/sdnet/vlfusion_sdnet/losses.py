"""The terms of SDNet's loss (Zhang and Ma, IJCV 2021), as in the released code, on images in [-1, 1]."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, mse_loss

Image = Float[Tensor, 'batch 1 h w']

_LAPLACIAN = ((0., 1., 0.), (1., -4., 1.), (0., 1., 0.))
_BLUR = ((0.0947, 0.1183, 0.0947), (0.1183, 0.1478, 0.1183), (0.0947, 0.1183, 0.0947))  # a Gaussian, rounded


def _filtered(image: Tensor, kernel: tuple) -> Tensor:
    return conv2d(image, torch.tensor(kernel).to(image)[None, None], padding=1)  # beyond the border lies 0, mid-grey


def intensity_loss(fused: Image, first: Image, second: Image, second_weight: float) -> Float[Tensor, '']:
    """Compute `|F - S_1|^2 + w |F - S_2|^2`, averaged over pixels."""
    return mse_loss(fused, first) + second_weight * mse_loss(fused, second)


def adaptive_gradient_loss(fused: Image, first: Image, second: Image) -> Float[Tensor, '']:
    """Compute `s |grad F - grad S_2|^2 + (1 - s) |grad F - grad S_1|^2`, averaged over pixels; `grad` is the Laplacian.

    The decision `s` is 1 where the second source has the larger gradient, after a low-pass filter against noise.
    """
    strength_first, strength_second = (_filtered(_filtered(source, _BLUR), _LAPLACIAN).abs()
                                       for source in (first, second))
    target = torch.where(strength_second > strength_first, _filtered(second, _LAPLACIAN), _filtered(first, _LAPLACIAN))
    return mse_loss(_filtered(fused, _LAPLACIAN), target)
