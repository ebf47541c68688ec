"""Variance: the squared contrast of the fused image."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant


@fusion_metric(title='Variance', direction='higher', unit='squared grey level', range=(0., 127.5 ** 2), over='none',
               source='the second central moment',
               variants={'vifb': variant('the square root of the variance, which is SD', root=True,
                                         unit='grey level', range=(0., 127.5))})
def VI(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
       source_b: Float[Tensor, 'batch 1 h w'], root: bool = False) -> Float[Tensor, ' batch']:
    """`VI = mean((F - mean(F))^2)`.

    Args:
        fused: grey levels in 0..255.
        source_a, source_b: not used.
        root: whether to take the square root.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(VI((a + b) / 2, a, b).item(), 3)
    2974.59
    """
    variance = fused.var((1, 2, 3), correction=0)
    return variance.sqrt() if root else variance
