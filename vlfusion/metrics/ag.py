"""Average gradient: the mean slope of the fused image."""

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant


@fusion_metric(title='Average gradient', direction='higher', unit='grey level', range=(0., 255.), over='none',
               smallest=2, source='Cui, Feng, Xu, Li and Chen, Opt. Commun. 341, 2015', agrees=('film', 'cddfuse'),
               variants={'vifb': variant('the sum over all pixels divided by (h - 1)(w - 1)', inner=True,
                                         range=(0., 1020.)),
                         'tang': 'vifb'})
def AG(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
       source_b: Float[Tensor, 'batch 1 h w'], inner: bool = False) -> Float[Tensor, ' batch']:
    """`AG = mean(sqrt((Gx^2 + Gy^2) / 2))`, with central differences `Gx` and `Gy`, one-sided at the borders.

    Args:
        fused: grey levels in 0..255, at least 2x2.
        source_a, source_b: not used.
        inner: whether to divide the sum by `(h - 1)(w - 1)` instead of by the `h w` pixels.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(AG((a + b) / 2, a, b).item(), 3)
    32.883
    """
    gradient_y, gradient_x = torch.gradient(fused, dim=(2, 3))
    slope = ((gradient_x.square() + gradient_y.square()) / 2).sqrt()
    height, width = fused.shape[2:]
    return slope.sum((1, 2, 3)) / ((height - 1) * (width - 1) if inner else height * width)
