"""Average gradient: the mean slope of the fused image."""

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric


@fusion_metric(title='Average gradient', direction='higher', unit='grey level', range=(0., 255.), smallest=2,
               source='Cui, Feng, Xu, Li and Chen, Opt. Commun. 341, 2015')
def AG(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
       source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch']:
    """`AG = mean(sqrt((Gx^2 + Gy^2) / 2))`, with `Gx`, `Gy` central differences, one-sided at the borders.

    The mean is over all `h w` pixels, as in the evaluator of FILM and CDDFuse; the MATLAB code of VIFB and Tang takes
    differences of neighbours over `(h - 1)(w - 1)` pixels and is a little higher.

    Args:
        fused: grey levels in 0..255, at least 2x2.
        source_a: not used.
        source_b: not used.
    """
    gradient_y, gradient_x = torch.gradient(fused, dim=(2, 3))
    return ((gradient_x.square() + gradient_y.square()) / 2).sqrt().mean((1, 2, 3))
