"""Gradient terms: edges of the fused image as strong as in the sharper source."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, l1_loss, pad

from vlfusion.losses.base import Image, Scalar, loss
from vlfusion.losses.kernels import derivative_kernels


def sobel_magnitude(image: Image, kernels: Float[Tensor, '2 1 3 3'] | None = None) -> Image:
    """Compute `|S_x * I| + |S_y * I|` as FILM does: Sobel kernels without normalisation, zeros beyond the border.

    Args:
        image: luminance in [0, 1].
        kernels: `derivative_kernels` of the image, if they were made before.
    """
    kernels = derivative_kernels(image) if kernels is None else kernels
    return conv2d(image, kernels, padding=1).abs().sum(1, keepdim=True)


@loss
def MaxGradientLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """Mean of `|G(F) - max(G(A), G(B))|`, with `G` the Sobel magnitude: edges as strong as in the sharper source.

    This is the gradient term of FILM (Zhao et al., ICML 2024), whose released code uses the weight 20 for
    infrared-visible pairs.
    """
    kernels = derivative_kernels(fused)
    edges, edges_a, edges_b = (sobel_magnitude(image, kernels) for image in (fused, source_a, source_b))
    return l1_loss(edges, torch.maximum(edges_a, edges_b))


@loss
def AxisGradientLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """`sum over d in x, y of mean | |S_d F| - max(|S_d A|, |S_d B|) |`, with Sobel kernels `S` and replicated borders.

    This is the gradient term of Text-IF (Yi et al., CVPR 2024) and ControlFusion (Tang et al., NeurIPS 2025).
    `MaxGradientLoss` takes the maximum of the summed magnitudes instead, and pads with zeros.
    """
    target = torch.maximum(axis_gradients(source_a), axis_gradients(source_b))
    return 2 * l1_loss(axis_gradients(fused), target)  # the mean over two directions, doubled to their sum


def axis_gradients(image: Image, border: str = 'replicate') -> Float[Tensor, 'batch 2 h w']:
    """Compute `|S_x * I|` and `|S_y * I|` with Sobel kernels without normalisation.

    Args:
        image: luminance in [0, 1].
        border: what lies beyond the image, a mode of torch's `pad`: `replicate`, or `constant` for zeros.
    """
    return conv2d(pad(image, (1, 1, 1, 1), mode=border), derivative_kernels(image)).abs()
