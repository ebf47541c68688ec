"""The loss of YDTR (Tang et al., IEEE TMM 25, 2023): structure and spatial frequency, each weighted by source.

The terms and weights are those of the authors' released code. None needs a pretrained network.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from vlfusion.losses import ssim_map
from vlfusion.registry import LOSSES


@LOSSES.register_module()
class StructureLoss(nn.Module):
    """`w_a (1 - SSIM(F, A)) + w_b (1 - SSIM(F, B))`, with a Gaussian window of 11 pixels and sigma 1.5.

    The data range of SSIM is always 1. The released code doubles it while an output lies below -0.5.

    Args:
        weight: factor in the total.
        weight_a: weight of the infrared image.
        weight_b: weight of the visible image.

    Raises:
        DataError: an image is smaller than the window.
    """

    def __init__(self, weight: float = 1.0, weight_a: float = 1.0, weight_b: float = 0.05):
        super().__init__()
        self.weight, self.weight_a, self.weight_b = weight, weight_a, weight_b

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        loss_a, loss_b = (1 - ssim_map(fused, source).mean() for source in (source_a, source_b))
        return self.weight_a * loss_a + self.weight_b * loss_b


@LOSSES.register_module()
class SpatialFrequencyLoss(nn.Module):
    """`w_a ||S(F) - S(A)|| + w_b ||S(F) - S(B)||`, with the Euclidean norm over all pixels of the batch.

    `S` is the spatial frequency around a pixel: squared differences to the left and the upper neighbour, summed over
    11x11 pixels, with zeros beyond the border. The norm is not averaged: it grows with the square root of the batch
    size and of the area.

    Args:
        weight: factor in the total.
        weight_a: weight of the infrared image.
        weight_b: weight of the visible image.
        radius: radius of the square that is summed over, in pixels.
    """

    def __init__(self, weight: float = 1.0, *, weight_a: float = 6e-4, weight_b: float = 2.5e-4, radius: int = 5):
        super().__init__()
        self.weight, self.weight_a, self.weight_b = weight, weight_a, weight_b
        self.radius = radius

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        frequency = self._frequency(fused)
        loss_a, loss_b = (torch.linalg.vector_norm(frequency - self._frequency(source))
                          for source in (source_a, source_b))
        return self.weight_a * loss_a + self.weight_b * loss_b

    def _frequency(self, images: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 1 h w']:
        bordered = pad(images, (1, 0, 1, 0))
        squared = (images - bordered[..., 1:, :-1]).square() + (images - bordered[..., :-1, 1:]).square()
        side = 2 * self.radius + 1
        return conv2d(squared, squared.new_ones(1, 1, side, side), padding=self.radius)
