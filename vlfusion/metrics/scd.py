"""Sum of the correlations of differences: what the fused image adds to one source should come from the other."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.cc import correlation


@fusion_metric(title='Sum of the correlations of differences', direction='higher', range=(-2., 2.), over='sum',
               many=False, source='Aslantas and Bendes, AEU Int. J. Electron. Commun. 69(12), 2015',
               agrees=('film', 'cddfuse', 'tang'))
def SCD(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
        source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    """`SCD = r(F - B, A) + r(F - A, B)`, with Pearson's correlation `r`.

    NaN if the fused image is a copy of a source, or differs from it by a constant: then the difference is constant.

    Args:
        fused, source_a, source_b: grey levels in 0..255.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(SCD((a + b) / 2, a, b).item(), 3)
    1.378
    """
    return correlation(fused - source_b, source_a) + correlation(fused - source_a, source_b)
