"""The loss of DATFuse (Tang et al., IEEE TCSVT 33(7), 2023): `1 pixel + 100 gradient + 10 structure`.

The terms are those of the authors' released code. None needs a pretrained network.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, mse_loss

from vlfusion.losses import ssim_map
from vlfusion.registry import LOSSES

# The sum of the Sobel kernels of both directions: horizontal to the right, vertical upwards.
_SOBEL_SUM = torch.tensor([[0., 2., 2.], [-2., 0., 2.], [-2., -2., 0.]])


@LOSSES.register_module()
class PixelLoss(nn.Module):
    """`mean (F - A)^2 + mean (F - B)^2`: intensities near those of both sources.

    Args:
        weight: factor in the total.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        return mse_loss(fused, source_a) + mse_loss(fused, source_b)


@LOSSES.register_module()
class GradientLoss(nn.Module):
    """`|g(F) - max(g(A), g(B))|` with `g` the mean over the whole batch of the signed Sobel responses, x plus y.

    This is the released loss, and it is not what its name promises: within the image the signed responses of a kernel
    that sums to zero cancel, so with zeros beyond the border the mean is a weighted sum of border pixels, and no edge
    inside is seen. vlfusion's `MaxGradientLoss` compares magnitudes pixel by pixel.

    Args:
        weight: factor in the total.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        target = torch.maximum(_mean_gradient(source_a), _mean_gradient(source_b))
        return (_mean_gradient(fused) - target).abs()


@LOSSES.register_module()
class StructureLoss(nn.Module):
    """`1 - SSIM(F, max(A, B))`, SSIM with a Gaussian window of 11 pixels and sigma 1.5 on images in [0, 1].

    The released code doubles the range that SSIM assumes while an output lies below -0.5; here it is always 1.

    Args:
        weight: factor in the total.

    Raises:
        DataError: an image is smaller than the window.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        return 1 - ssim_map(fused, torch.maximum(source_a, source_b)).mean()


def _mean_gradient(images: Tensor) -> Tensor:
    return conv2d(images, _SOBEL_SUM.to(images)[None, None], padding=1).mean()
