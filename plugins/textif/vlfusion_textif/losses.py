"""Text-IF's gradient term, which keeps the two directions of a gradient apart."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.registry import LOSSES

_SOBEL = torch.tensor([[-1., 0., 1.], [-2., 0., 2.], [-1., 0., 1.]])


@LOSSES.register_module()
class AxisGradientLoss(nn.Module):
    """`sum over d in x, y of mean | |S_d F| - max(|S_d A|, |S_d B|) |`, with Sobel's `S` and replicated borders.

    `vlfusion.losses.MaxGradientLoss` takes the maximum of the summed magnitudes instead, and pads with zeros.

    Args:
        weight: factor in the total.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        target = torch.maximum(_gradients(source_a), _gradients(source_b))
        return 2 * F.l1_loss(_gradients(fused), target)  # the mean over two directions, doubled to their sum


def _gradients(image: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 2 h w']:
    kernels = torch.stack([_SOBEL, _SOBEL.T])[:, None].to(image)
    return F.conv2d(F.pad(image, (1, 1, 1, 1), mode='replicate'), kernels).abs()
