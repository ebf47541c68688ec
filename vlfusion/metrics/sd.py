"""Standard deviation: the contrast of the fused image."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric


@fusion_metric(title='Standard deviation', direction='higher', unit='grey level', range=(0., 127.5), over='none',
               source='Ma, Ma and Li, Inf. Fusion 45, 2019', agrees=('film', 'cddfuse', 'vifb'))
def SD(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
       source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    """`SD = sqrt(mean((F - mean(F))^2))`: divided by the number of pixels, not by one less.

    VIFB calls it variance.

    Args:
        fused: grey levels in 0..255.
        source_a, source_b: not used.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(SD((a + b) / 2, a, b).item(), 3)
    54.54
    """
    return fused.std((1, 2, 3), correction=0)
