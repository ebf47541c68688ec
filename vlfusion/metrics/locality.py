"""Locality: how far a change keeps to the region that was asked for."""

import math

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.weighted import Image, weighted_mean


@fusion_metric(title='Locality of a change', direction='higher', range=(0., math.inf), over='joint',
               maps=('reference', 'region'), source="vlfusion's own")
def Locality(fused: Image, source_a: Image, source_b: Image, reference: Image,
             region: Image) -> Float[Tensor, ' batch']:
    """`Locality = mean_w(|F - R|) / mean_(1-w)(|F - R|)`: the change inside a region over the change outside.

    `R` is the picture without an instruction (the map `reference`), and `w` the weight of the region at each pixel (the
    map `region`, 0 for black and 1 for white). It is 1 if the whole picture changes alike, and infinite if nothing
    changes outside. It is NaN if nothing changes, or if the region is empty or the whole picture.

    Args:
        fused, reference, region: grey levels in 0..255.
        source_a, source_b: not used.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> left = 255. * (torch.arange(64) < 32).expand(1, 1, 64, 64)
    >>> round(Locality(a / 2 + 8 + 8 * left / 255, a, b, a / 2, left).item(), 3)
    2.0
    """
    change, weight = (fused - reference).abs(), region / 255
    return weighted_mean(change, weight) / weighted_mean(change, 1 - weight)
