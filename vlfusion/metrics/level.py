"""Mean grey level: the brightness of the fused image."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.weighted import weighted_mean


@fusion_metric(title='Mean grey level', direction='neither', unit='grey level', range=(0., 255.), over='none',
               source="vlfusion's own")
def Level(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
          source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    """`Level = mean(F)`: what "brighter" and "darker" ask for. A higher value is brighter.

    A protocol with a min-max stretch changes it, so score under `plain`.

    Args:
        fused: grey levels in 0..255.
        source_a, source_b: not used.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Level((a + b) / 2, a, b).item(), 3)
    117.688
    """
    return weighted_mean(fused)
