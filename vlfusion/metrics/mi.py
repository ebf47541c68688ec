"""Mutual information: the information that the grey levels of the fused image and the sources share."""

import math

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant
from vlfusion.metrics.histograms import bits, entropy, joint_histogram, mutual_information


@fusion_metric(title='Mutual information', direction='higher', unit='bit', range=(0., 16.), over='sum',
               source='Qu, Zhang and Yan, Electron. Lett. 38(7), 2002',
               variants={'film': variant('in nat', base=math.e, unit='nat', range=(0., 16 * math.log(2))),
                         'cddfuse': 'film', 'vifb': 'film',
                         'tang': variant('the joint histogram, but not the others, counts 255 as 254, because 8-bit '
                                         'integers saturate when 1 is added', saturated=True)})
def MI(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
       source_b: Float[Tensor, 'batch 1 h w'], base: float = 2., saturated: bool = False) -> Float[Tensor, ' batch']:
    """`MI = I(A, F) + I(B, F)`, with `I(X, Y) = H(X) + H(Y) - H(X, Y)` of the rounded grey levels' histograms.

    Args:
        fused, source_a, source_b: grey levels in 0..255.
        base: base of the logarithm.
        saturated: whether the joint histograms merge the levels 254 and 255.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(MI((a + b) / 2, a, b).item(), 3)
    5.139
    """
    total = 0.
    for source in (source_a, source_b):
        if saturated:
            joint = joint_histogram(fused.clamp(max=254), source.clamp(max=254)).flatten(1)
            total = total + entropy(source) + entropy(fused) - bits(joint)
        else:
            total = total + mutual_information(source, fused)
    return total / math.log2(base)
