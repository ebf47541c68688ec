"""Spatial frequency: how much neighbouring pixels of the fused image differ."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant


@fusion_metric(title='Spatial frequency', direction='higher', unit='grey level', range=(0., 255 * 2 ** 0.5),
               over='none', smallest=2, source='Eskicioglu and Fisher, IEEE Trans. Commun. 43(12), 1995',
               agrees=('film', 'cddfuse', 'tang'),
               variants={'vifb': variant('both sums divided by the number of pixels, not of differences', pixels=True)})
def SF(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
       source_b: Float[Tensor, 'batch 1 h w'], pixels: bool = False) -> Float[Tensor, ' batch']:
    """`SF = sqrt(mean(dx^2) + mean(dy^2))`, with differences `dx` and `dy` between neighbours.

    The means are over the `h (w - 1)` and `(h - 1) w` existing differences.

    Args:
        fused: grey levels in 0..255, at least 2x2.
        source_a, source_b: not used.
        pixels: whether to divide by the `h w` pixels instead.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(SF((a + b) / 2, a, b).item(), 3)
    80.543
    """
    squares = [fused.diff(dim=axis).square() for axis in (2, 3)]
    if pixels:
        return sum(square.sum((1, 2, 3)) for square in squares).div(fused[0].numel()).sqrt()
    return sum(square.mean((1, 2, 3)) for square in squares).sqrt()
