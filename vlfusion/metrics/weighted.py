"""Means of an image over a region, in which each pixel has a weight."""

from jaxtyping import Float
from torch import Tensor

Image = Float[Tensor, 'batch 1 h w']


def weighted_mean(image: Image, weight: Image | None = None) -> Float[Tensor, ' batch']:
    """Return the mean of each image over its pixels, weighted if weights are given; NaN if all weights are 0.

    >>> import torch
    >>> weighted_mean(torch.tensor([[[[2., 8.]]]]), torch.tensor([[[[1., 3.]]]]))
    tensor([6.5000])
    """
    if weight is None:
        return image.mean((1, 2, 3))
    return (image * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))
