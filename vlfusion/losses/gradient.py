"""The gradient term of FILM (Zhao et al., ICML 2024): the sharper source's edges."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, l1_loss

from vlfusion.registry import LOSSES

_SOBEL_X = torch.tensor([[-1., 0., 1.], [-2., 0., 2.], [-1., 0., 1.]])


def sobel_magnitude(image: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 1 h w']:
    """`|S_x * I| + |S_y * I|` with the unnormalised Sobel kernels and zeros beyond the border, as FILM computes it."""
    kernels = torch.stack([_SOBEL_X, _SOBEL_X.T]).unsqueeze(1).to(image)  # (2, 1, 3, 3)
    return conv2d(image, kernels, padding=1).abs().sum(1, keepdim=True)


@LOSSES.register_module()
class MaxGradientLoss(nn.Module):
    """Mean of `|G(F) - max(G(A), G(B))|` with `G` the Sobel magnitude: each edge as strong as the sharper source's.

    Args:
        weight: factor in the total; the released FILM uses 20 for infrared-visible pairs.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        target = torch.maximum(sobel_magnitude(source_a), sobel_magnitude(source_b))
        return l1_loss(sobel_magnitude(fused), target)
