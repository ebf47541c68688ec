"""Nonlinear correlation information entropy: how strongly the three images depend on one another."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.histograms import mutual_information


@fusion_metric(title='Nonlinear correlation information entropy', direction='higher', range=(1 - math.log(3, 256), 1.),
               over='joint', source='Wang, Shen and Jin, in Image Fusion (ed. Stathaki), ch. 19, 2008',
               agrees=('liu', 'mefb'))
def Qncie(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
          source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    """`Qncie = 1 + sum_i (l_i / 3) log256(l_i / 3)`, with the eigenvalues `l` of the matrix of nonlinear correlations.

    The nonlinear correlation of two images is their mutual information to the base 256; the diagonal is 1. Three
    independent images score 1 - log256(3) = 0.80, so all values lie in a narrow range above that.

    Args:
        fused, source_a, source_b: grey levels in 0..255.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Qncie((a + b) / 2, a, b).item(), 3)
    0.825
    """
    images = source_a, source_b, fused
    correlation = torch.eye(3, dtype=fused.dtype, device=fused.device).repeat(len(fused), 1, 1)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        correlation[:, i, j] = correlation[:, j, i] = mutual_information(images[i], images[j]) / 8
    share = torch.linalg.eigvalsh(correlation).clamp(min=0) / 3
    return 1 - torch.special.entr(share).sum(1) / math.log(256)
