"""The gradient term of Text-IF (Yi et al., CVPR 2024), separate for the two directions of a gradient."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vlfusion.losses import Image, Scalar, derivative_kernels, loss


@loss
def AxisGradientLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """`sum over d in x, y of mean | |S_d F| - max(|S_d A|, |S_d B|) |`, with Sobel kernels `S` and replicated borders.

    `vlfusion.losses.MaxGradientLoss` takes the maximum of the summed magnitudes instead, and pads with zeros.
    """
    target = torch.maximum(_gradients(source_a), _gradients(source_b))
    return 2 * F.l1_loss(_gradients(fused), target)  # the mean over two directions, doubled to their sum


def _gradients(image: Image) -> Float[Tensor, 'batch 2 h w']:
    return F.conv2d(F.pad(image, (1, 1, 1, 1), mode='replicate'), derivative_kernels(image)).abs()
