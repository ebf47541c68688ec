"""Root mean squared error: how far the fused image's grey levels are from the sources'."""

import math

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant


@fusion_metric(title='Root mean squared error', direction='lower', unit='grey level', range=(0., 255.), over='mean',
               source='the root of the mean of the squared differences',
               variants={'vifb': variant('the root is taken before the division by the number of pixels, so that the '
                                         'value falls with the size of the image', early=True)})
def RMSE(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
         source_b: Float[Tensor, 'batch 1 h w'], early: bool = False) -> Float[Tensor, ' batch']:
    """`RMSE = (sqrt(mean((A - F)^2)) + sqrt(mean((B - F)^2))) / 2`: the mean of the roots.

    Args:
        fused, source_a, source_b: grey levels in 0..255.
        early: whether to compute `sqrt(sum((S - F)^2)) / (h w)` instead.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(RMSE((a + b) / 2, a, b).item(), 3)
    51.877
    """
    error = sum((source - fused).square().mean((1, 2, 3)).sqrt() for source in (source_a, source_b)) / 2
    return error / math.sqrt(fused[0].numel()) if early else error
