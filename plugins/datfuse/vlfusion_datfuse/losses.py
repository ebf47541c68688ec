"""The loss of DATFuse (Tang et al., IEEE TCSVT 33(7), 2023): `1 pixel + 100 gradient + 10 structure`.

The terms are those of the authors' released code. None needs a pretrained network.
"""

import torch
from torch import Tensor
from torch.nn.functional import conv2d, mse_loss

from vlfusion.losses import Image, Scalar, derivative_kernels, loss, ssim_map


@loss
def PixelLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """`mean (F - A)^2 + mean (F - B)^2`: intensities close to both sources."""
    return mse_loss(fused, source_a) + mse_loss(fused, source_b)


@loss
def GradientLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """`|g(F) - max(g(A), g(B))|`, with `g` the mean of the signed Sobel responses (x plus y) over the whole batch.

    This is the released loss, but it measures no edges. The kernel sums to zero, so its signed responses cancel inside
    the image. With zeros beyond the border, the mean is a weighted sum of border pixels. vlfusion's `MaxGradientLoss`
    compares magnitudes pixel by pixel.
    """
    target = torch.maximum(_mean_gradient(source_a), _mean_gradient(source_b))
    return (_mean_gradient(fused) - target).abs()


@loss
def StructureLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """`1 - SSIM(F, max(A, B))`, with a Gaussian window of 11 pixels and sigma 1.5, on images in [0, 1].

    The released code doubles the data range of SSIM while an output lies below -0.5; here it is always 1.

    Raises:
        DataError: an image is smaller than the window.
    """
    return 1 - ssim_map(fused, torch.maximum(source_a, source_b)).mean()


def _mean_gradient(images: Tensor) -> Tensor:
    right, down = derivative_kernels(images).split(1)
    return conv2d(images, right - down, padding=1).mean()  # vertical differences upwards
