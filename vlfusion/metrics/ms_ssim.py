"""Structural similarity at several scales."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.sharing import shared
from vlfusion.metrics.ssim import WANG, contrast_structure, ssim_map

Image = Float[Tensor, 'batch 1 h w']
WEIGHTS = 0.0448, 0.2856, 0.3001, 0.2363, 0.1333


@fusion_metric(title='Multi-scale structural similarity', direction='higher', range=(0., 1.), over='mean', smallest=176,
               source='Wang, Simoncelli and Bovik, Asilomar 2003')
def MS_SSIM(fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, ' batch']:
    """`MS_SSIM = (MS(A, F) + MS(B, F)) / 2`, `MS = prod_i cs_i^w_i` over five scales, the last with luminance too.

    `cs` is SSIM's comparison of contrast and structure. Each scale is the previous scale averaged over 2x2 pixels. A
    scale with a negative mean counts as 0. Tang's MS_SSIM is another measure, here `MEF_MS_SSIM`.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 176x176, so that the window fits five times.

    >>> import torch
    >>> a = (torch.arange(176.).outer(torch.arange(176.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(MS_SSIM((a + b) / 2, a, b).item(), 3)
    0.74
    """
    total = 0.
    for source in (source_a, source_b):
        similarity = 1.
        image = fused
        for scale, weight in enumerate(WEIGHTS, 1):
            compare = ssim_map if scale == len(WEIGHTS) else contrast_structure
            similarity = similarity * compare(source, image, WANG).mean((1, 2, 3)).clamp(min=0) ** weight
            if scale < len(WEIGHTS):
                source, image = halved(source), halved(image)
        total = total + similarity
    return total / 2


@shared
def halved(image: Image) -> Float[Tensor, 'batch 1 h_half w_half']:
    """Mean of each 2x2 pixels."""
    return F.avg_pool2d(image, 2)
