"""Edge intensity: the mean strength of the fused image's Sobel edges."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.gradients import edge_strength


@fusion_metric(title='Edge intensity', direction='higher', unit='grey level', range=(0., 1020 * 2 ** 0.5), over='none',
               source='Rajalingam and Priya, Int. J. Eng. Sci. Invent. 2(1), 2018', agrees=('vifb',))
def EI(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
       source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    """`EI = mean(sqrt(Sx^2 + Sy^2))`, with Sobel differences `Sx` and `Sy`.

    Border pixels are repeated outside the image. A Sobel difference is eight times the slope, so the value is about
    eight times as large as a mean gradient.

    Args:
        fused: grey levels in 0..255.
        source_a, source_b: not used.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(EI((a + b) / 2, a, b).item(), 3)
    279.103
    """
    return edge_strength(fused, 'replicate').mean((1, 2, 3))
