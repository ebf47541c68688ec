"""Normalised mutual information: the share of the grey levels' information that fused image and sources have in common.
"""

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.histograms import entropy, mutual_information


@fusion_metric(title='Normalised mutual information', direction='higher', range=(0., 2.), over='sum', aliases=('Qmi',),
               source='Hossny, Nahavandi and Creighton, Electron. Lett. 44(18), 2008', agrees=('mefb', 'liu'))
def NMI(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
        source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    """`NMI = 2 (I(A, F) / (H(A) + H(F)) + I(B, F) / (H(B) + H(F)))`; 2 for a fused image that equals both sources.

    The published code stretches each image to 0..255 first. This maps different levels to different levels, so neither
    entropies nor the result change. It is NaN if a source and the fused image are both constant.

    Args:
        fused, source_a, source_b: grey levels in 0..255.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(NMI((a + b) / 2, a, b).item(), 3)
    0.719
    """
    return sum(2 * mutual_information(source, fused) / (entropy(source) + entropy(fused))
               for source in (source_a, source_b))
