"""Entropy: how many bits the grey levels of the fused image carry."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric


@fusion_metric(title='Entropy', direction='higher', unit='bit', range=(0., 8.),
               source='Roberts, van Aardt and Ahmed, J. Appl. Remote Sens. 2(1), 2008')
def EN(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
       source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch']:
    """`EN = -sum_l p_l log2 p_l`, with `p` the histogram of the fused image's rounded grey levels.

    Args:
        fused: grey levels in 0..255.
        source_a: not used.
        source_b: not used.

    >>> half_black_half_white = torch.tensor([0., 255.]).repeat(1, 1, 4, 2)
    >>> EN(half_black_half_white, half_black_half_white, half_black_half_white)
    tensor([1.])
    """
    levels = fused.round().long().flatten(1)  # (batch, pixel)
    image = torch.arange(len(levels), device=fused.device)[:, None]
    counts = torch.bincount((256 * image + levels).flatten(), minlength=256 * len(levels)).view(-1, 256)
    share = counts.to(fused.dtype) / levels.shape[1]
    return torch.special.entr(share).sum(1) / math.log(2)
