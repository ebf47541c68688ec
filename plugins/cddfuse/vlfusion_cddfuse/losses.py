"""The losses of CDDFuse (Zhao et al., CVPR 2023) on features and on reconstructed sources.

Its losses on the fused image are vlfusion's MaxIntensityLoss and MaxGradientLoss. Images are `(batch, 1, h, w)` in
[0, 1].
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vlfusion.losses import derivative_kernels, ssim_map

Image = Float[Tensor, 'batch 1 h w']
Features = Float[Tensor, 'batch dim h w']


def decomposition_loss(base_a: Features, detail_a: Features, base_b: Features, detail_b: Features
                       ) -> Float[Tensor, '']:
    """Compute `CC(detail)^2 / (CC(base) + 1.01)`.

    Base features should correlate between the sources; detail features should not. CC is Pearson's correlation
    over the pixels, averaged over images and channels. The loss is never negative.
    """
    return _correlation(detail_a, detail_b) ** 2 / (1.01 + _correlation(base_a, base_b))


def _correlation(a: Features, b: Features) -> Float[Tensor, '']:
    a, b = (x.flatten(2) - x.flatten(2).mean(2, keepdim=True) for x in (a, b))
    # The correlation of a constant channel, such as one of a black image, is zero, and so is its gradient.
    return F.cosine_similarity(a, b, dim=2).mean()


def reconstruction_loss(restored: Image, image: Image) -> Float[Tensor, '']:
    """Compute `5 DSSIM + MSE` between an image and its reconstruction, with the released factor of 5."""
    return 5 * dssim(restored, image) + F.mse_loss(restored, image)


def dssim(x: Image, y: Image) -> Float[Tensor, '']:
    """Compute the mean of `(1 - SSIM) / 2`, in [0, 1/2], with negative SSIM counted as zero.

    SSIM is that of Wang et al. (IEEE TIP 2004) with an 11x11 Gaussian window of standard deviation 1.5 and the image
    reflected at its border. The clamp at zero follows kornia 0.2.0, which the released code requires.

    Raises:
        DataError: an image is too small to be reflected under the window.
    """
    return (1 - ssim_map(x, y, border='reflect')).clamp(0, 1).mean() / 2


def gradient_loss(restored: Image, image: Image) -> Float[Tensor, '']:
    """Compute the mean of `|∇restored - ∇image|` over both directions, with the border repeated."""
    kernels = derivative_kernels(image) / 8  # absolute values sum to one
    return F.conv2d(F.pad(restored - image, [1] * 4, mode='replicate'), kernels).abs().mean()
