"""Cross entropy: how far the fused image's histogram is from the sources' histograms."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant
from vlfusion.metrics.histograms import LEVELS, histogram


@fusion_metric(title='Cross entropy', direction='lower', unit='bit', range=(0., math.inf), over='mean',
               source='Bulanon, Burks and Alchanatis, Biosyst. Eng. 103(1), 2009',
               variants={'vifb': variant('levels that either histogram lacks are left out, so that missing levels '
                                         'improve the score, and the value may be negative', skip=True,
                                         range=(-math.inf, math.inf)),
                         'mefb': 'vifb'})
def CE(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
       source_b: Float[Tensor, 'batch 1 h w'], skip: bool = False) -> Float[Tensor, ' batch']:
    """`CE = (D(A, F) + D(B, F)) / 2`, with `D(S, F) = sum_l s_l log2(s_l / f_l)` of the histograms `s` and `f`.

    The field calls this relative entropy (Kullback and Leibler) cross entropy. It is infinite if the fused image lacks
    a single level of a source, as nearly every 8-bit image does. So half a pixel is added to each level's count
    (Krichevsky and Trofimov, IEEE Trans. Inf. Theory 27(2), 1981).

    Args:
        fused, source_a, source_b: grey levels in 0..255.
        skip: whether to leave out the levels that either histogram lacks, and to add nothing.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(CE((a + b) / 2, a, b).item(), 3)
    1.937
    """
    pixels = fused[0].numel()
    total = 0.
    for source in (source_a, source_b):
        shares_s, shares_f = histogram(source), histogram(fused)
        if skip:
            both = (shares_s > 0) & (shares_f > 0)
            shares_s, shares_f = (torch.where(both, shares, 1) for shares in (shares_s, shares_f))  # 1 log 1 = 0
        else:
            shares_s, shares_f = ((shares * pixels + 0.5) / (pixels + LEVELS / 2) for shares in (shares_s, shares_f))
        total = total + (shares_s * (shares_s / shares_f).log2()).sum(1)
    return total / 2
