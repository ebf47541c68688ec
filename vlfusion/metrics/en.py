"""Entropy: the information in the fused image's grey levels, in bit."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.histograms import entropy


@fusion_metric(title='Entropy', direction='higher', unit='bit', range=(0., 8.), over='none',
               source='Roberts, van Aardt and Ahmed, J. Appl. Remote Sens. 2(1), 2008',
               agrees=('film', 'cddfuse', 'vifb'))
def EN(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
       source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    """`EN = -sum_l p_l log2 p_l`, with the histogram `p` of the fused image's rounded grey levels.

    Args:
        fused: grey levels in 0..255.
        source_a, source_b: not used.

    >>> import torch
    >>> half_black_half_white = torch.tensor([0., 255.]).repeat(1, 1, 4, 2)
    >>> EN(half_black_half_white, half_black_half_white, half_black_half_white)
    tensor([1.])
    """
    return entropy(fused)
