"""Mean squared error: how far the fused image's grey levels are from the sources'."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric


@fusion_metric(title='Mean squared error', direction='lower', unit='squared grey level', range=(0., 255. ** 2),
               over='mean', source='the mean of the squared differences', agrees=('film', 'cddfuse'))
def MSE(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
        source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    """`MSE = (mean((A - F)^2) + mean((B - F)^2)) / 2`. No image scores better than the plain average of the sources.

    Args:
        fused, source_a, source_b: grey levels in 0..255.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(MSE((a + b) / 2, a, b).item(), 3)
    2691.188
    """
    return sum((source - fused).square().mean((1, 2, 3)) for source in (source_a, source_b)) / 2
