"""Correlation coefficient: how linearly the fused image follows the sources."""

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.sharing import shared

Image = Float[Tensor, 'batch 1 h w']


@fusion_metric(title='Correlation coefficient', direction='higher', range=(-1., 1.), over='mean',
               source='Deshmukh and Bhosale, Int. J. Image Process. 4(5), 2010', agrees=('film', 'cddfuse', 'tang'))
def CC(fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, ' batch']:
    """`CC = (r(A, F) + r(B, F)) / 2`, with Pearson's correlation `r` of the grey levels; NaN if an image is constant.

    Args:
        fused, source_a, source_b: grey levels in 0..255.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(CC((a + b) / 2, a, b).item(), 3)
    0.725
    """
    return (correlation(source_a, fused) + correlation(source_b, fused)) / 2


def correlation(first: Image, second: Image) -> Float[Tensor, ' batch']:
    """Pearson's correlation of two images; NaN if one is constant."""
    first, second = centred(first), centred(second)
    squares = first.square().sum((1, 2, 3)) * second.square().sum((1, 2, 3))
    return (first * second).sum((1, 2, 3)) / squares.sqrt()


@shared
def centred(image: Image) -> Image:
    """The image minus its mean; exactly zero if it is constant, although its mean may have a rounding error."""
    constant = image.amax((1, 2, 3), keepdim=True) == image.amin((1, 2, 3), keepdim=True)
    return torch.where(constant, 0, image - image.mean((1, 2, 3), keepdim=True))
