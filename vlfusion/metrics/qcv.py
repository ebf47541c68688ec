"""The Chen-Varshney metric: the visible difference from the sources, region by region."""

import math
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant
from vlfusion.metrics.gradients import edge_strength
from vlfusion.metrics.histograms import stretched
from vlfusion.metrics.sharing import shared

Image = Float[Tensor, 'batch 1 h w']
Regions = Float[Tensor, 'batch 1 h_region w_region']
REGION = 16  # pixels along each side
POWER = 5  # exponent of the edge strength, in a region's saliency
DEGREES = 4  # field of view of an image, along each axis


@fusion_metric(title='Chen-Varshney visual difference', direction='lower', unit='squared grey level',
               range=(0., math.inf), over='weighted', source='Chen and Varshney, Inf. Fusion 8(2), 2007',
               variants={'liu': variant('images are stretched to 0..255 first, each separately, and incomplete regions '
                                        'at the right and at the bottom are filled with zeros', form='liu'),
                         'vifb': 'liu', 'mefb': 'liu'})
def Qcv(fused: Image, source_a: Image, source_b: Image,
        form: Literal['paper', 'liu'] = 'paper') -> Float[Tensor, ' batch']:
    """`Qcv = sum(l_A D_A + l_B D_B) / sum(l_A + l_B)` over regions of 16x16 pixels.

    `D` is a region's mean squared difference of source and fused image, both filtered by the eye's contrast sensitivity
    (Mannos and Sakrison). At the frequency `r`, in cycles per degree of an image that spans 4 degrees along each axis,
    it is

        2.6 (0.0192 + 0.144 r) exp(-(0.144 r)^1.1)

    The saliency `l` is the sum of the source's edge strengths to the power of 5 (Sobel; black around the images). If
    neither source has an edge, all regions have the same saliency. Regions at the right and at the bottom may be
    smaller.

    The code of Z. Liu, VIFB and MEFB stretches images first, which hides a loss of contrast. The default does not.

    Args:
        fused, source_a, source_b: grey levels in 0..255.
        form: form of the paper, or of Z. Liu's code.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Qcv((a + b) / 2, a, b).item(), 3)
    1823.661
    """
    if form == 'liu':
        fused, source_a, source_b = map(stretched, (fused, source_a, source_b))
    sources = (source_a, source_b)
    difference = torch.cat([_difference(source, fused, whole=form == 'liu') for source in sources], 1)
    saliency = torch.cat([_saliency(source) for source in sources], 1)
    saliency = torch.where(saliency.amax((1, 2, 3), keepdim=True) > 0, saliency, 1)
    return (saliency * difference).sum((1, 2, 3)) / saliency.sum((1, 2, 3))


def _difference(source: Image, fused: Image, whole: bool) -> Regions:
    """Mean squared visible difference in each region."""
    size = fused.shape[2:]
    seen = torch.fft.irfft2(torch.fft.rfft2(source - fused) * _sensitivity(*size, fused.device), size).square()
    return F.avg_pool2d(_filled(seen) if whole else seen, REGION, ceil_mode=True)


@shared
def _saliency(source: Image) -> Regions:
    return F.avg_pool2d(_filled(edge_strength(source) ** POWER), REGION) * REGION ** 2


def _filled(image: Image) -> Float[Tensor, 'batch 1 h_filled w_filled']:
    """Pad the image with zeros at the right and at the bottom, so that all regions are complete."""
    h, w = image.shape[2:]
    return F.pad(image, (0, -w % REGION, 0, -h % REGION))


@lru_cache(maxsize=8)
def _sensitivity(h: int, w: int, device: torch.device) -> Float[Tensor, 'h w_half']:
    """The eye's contrast sensitivity at each frequency of `torch.fft.rfft2`."""
    y = torch.fft.fftfreq(h, 1 / h, dtype=torch.float64, device=device)[:, None] / DEGREES
    x = torch.fft.rfftfreq(w, 1 / w, dtype=torch.float64, device=device) / DEGREES
    r = 0.144 * torch.hypot(x, y)
    return 2.6 * (0.0192 + r) * torch.exp(-r ** 1.1)
