"""The gradient term of FILM (Zhao et al., ICML 2024): edges as strong as in the sharper source."""

import torch
from torch.nn.functional import conv2d, l1_loss

from vlfusion.losses.base import Image, Scalar, loss

_SOBEL_X = torch.tensor([[-1., 0., 1.], [-2., 0., 2.], [-1., 0., 1.]])


def sobel_magnitude(image: Image) -> Image:
    """Compute `|S_x * I| + |S_y * I|` as FILM does: Sobel kernels without normalisation, zeros beyond the border."""
    kernels = torch.stack([_SOBEL_X, _SOBEL_X.T]).unsqueeze(1).to(image)  # (2, 1, 3, 3)
    return conv2d(image, kernels, padding=1).abs().sum(1, keepdim=True)


@loss
def MaxGradientLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """Mean of `|G(F) - max(G(A), G(B))|`, with `G` the Sobel magnitude: edges as strong as in the sharper source.

    The released FILM uses the weight 20 for infrared-visible pairs.
    """
    target = torch.maximum(sobel_magnitude(source_a), sobel_magnitude(source_b))
    return l1_loss(sobel_magnitude(fused), target)
