"""Spatial frequency: how much neighbouring pixels of the fused image differ."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric


@fusion_metric(title='Spatial frequency', direction='higher', unit='grey level', range=(0., 255 * 2 ** 0.5), smallest=2,
               source='Eskicioglu and Fisher, IEEE Trans. Commun. 43(12), 1995')
def SF(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
       source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch']:
    """`SF = sqrt(mean(dx^2) + mean(dy^2))`, with `dx`, `dy` the differences between neighbours.

    Each mean is over the differences that exist, `h (w - 1)` and `(h - 1) w` of them, as in the evaluator of FILM and
    CDDFuse; the MATLAB code of VIFB divides both sums by `h w` and is a little lower.

    Args:
        fused: grey levels in 0..255, at least 2x2.
        source_a: not used.
        source_b: not used.
    """
    rows, columns = fused.diff(dim=3), fused.diff(dim=2)
    return (rows.square().mean((1, 2, 3)) + columns.square().mean((1, 2, 3))).sqrt()
