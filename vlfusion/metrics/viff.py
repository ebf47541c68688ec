"""Visual information fidelity for fusion: how much of the visible information at each place the fused image keeps."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant
from vlfusion.metrics.vif import gained

Image = Float[Tensor, 'batch 1 h w']
NOISE = 0.005 * 255 ** 2  # variance of the visual noise, in squared grey levels
WEIGHTS = tuple(weight / 2.15 for weight in (1, 0, 0.15, 1))  # weights of the scales, the finest first
EPSILON = 1e-7  # information of a window without any


@fusion_metric(title='Visual information fidelity for fusion', direction='higher', range=(0., math.inf),
               over='weighted', smallest=41, source='Han, Cai, Cao and Xu, Inf. Fusion 14(2), 2013',
               variants={'han': variant('where the gains are equal, only source B counts, so the value depends on '
                                        'which source is B', tie=0.),
                         'mefb': 'han'})
def VIFF(fused: Image, source_a: Image, source_b: Image,
         tie: float = 0.5) -> Float[Tensor, ' batch']:
    """`VIFF = sum_k p_k sum kept / sum present` over the windows of four scales, weighted `p = (1, 0, 0.15, 1) / 2.15`.

    In each window, the source counts for which the fused image has the smaller gain. If the gains are equal, for
    example in a flat fused image, both sources count alike. Kept and present information are those of `VIF`, with
    stronger visual noise. MEFB prints this metric as VIF. FILM and CDDFuse print `VIF` as VIF or VIFF.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 41x41.
        tie: weight of source A where the gains are equal; source B has the rest.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(VIFF((a + b) / 2, a, b).item(), 3)
    0.246
    """
    total = 0.
    for scale, weight in enumerate(WEIGHTS):
        if weight:
            of_a, of_b = (gained(source, fused, scale) for source in (source_a, source_b))
            share = torch.heaviside(of_b.gain - of_a.gain, fused.new_full((), tie))
            kept, present = (torch.lerp(b, a, share).add_(EPSILON).sum((1, 2, 3)) for a, b in
                             zip(of_a.information(NOISE), of_b.information(NOISE), strict=True))
            total = total + weight * kept / present
    return total
