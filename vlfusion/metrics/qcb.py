"""The Chen-Blum metric: how well the fused image keeps the contrast that the eye sees in the sources."""

import math
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vlfusion.imaging.blur import filtered, gaussian
from vlfusion.metrics.base import fusion_metric, variant
from vlfusion.metrics.histograms import stretched
from vlfusion.metrics.sharing import shared

Image = Float[Tensor, 'batch 1 h w']
WIDTH = 31  # of the Gaussians, in pixels
SIGMAS = (2., 4.)  # standard deviations of the fine and the coarse Gaussian
DEGREES = 15  # field of view of an image, along each axis
MASKING = 1e-4
FLAT = 1e-6  # a smaller difference, in grey levels, is rounding
STRETCHED = 'images are stretched to 0..255 first, each separately, and the sum of the Gaussians is not exactly 1'


@fusion_metric(title='Chen-Blum contrast preservation', direction='higher', range=(0., 1.), over='weighted',
               source='Chen and Blum, Image Vis. Comput. 27(10), 2009',
               variants={'vifb': variant(STRETCHED, form='vifb'),
                         'liu': variant(f'{STRETCHED}; levels are divided by 255 before, which rounds some differently',
                                        form='liu'),
                         'mefb': 'liu'})
def Qcb(fused: Image, source_a: Image, source_b: Image,
        form: Literal['paper', 'vifb', 'liu'] = 'paper') -> Float[Tensor, ' batch']:
    """`Qcb = mean(l Q_AF + (1 - l) Q_BF)`: preservation of masked contrast `c`, weighted by the sources' contrast.

        Q_XF = min(c_X, c_F) / max(c_X, c_F),   l = c_A^2 / (c_A^2 + c_B^2)
        c = C^3 / (C^2 + 0.0001),               C = |G_2 * I / (G_4 * I) - 1|

    `G_2` and `G_4` are Gaussians of 31x31 pixels with the standard deviations 2 and 4, and black around the image. `I`
    is the image filtered by the eye's contrast sensitivity. At the frequency `r`, in cycles per degree of an image that
    spans 15 degrees along each axis, it is

        exp(-(r / 15.387)^2) - 0.7622 exp(-(r / 1.3456)^2)

    `Q` is 1 where neither image has contrast; `l` is one half where neither source has contrast.

    The code of Z. Liu, VIFB and MEFB stretches images first, which hides a loss of contrast. The default does not.

    Args:
        fused, source_a, source_b: grey levels in 0..255.
        form: form of the paper, of VIFB's code, or of Z. Liu's code.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Qcb((a + b) / 2, a, b).item(), 3)
    0.519
    """
    if form != 'paper':
        scale = 255 if form == 'liu' else 1
        fused, source_a, source_b = (stretched(image / scale) for image in (fused, source_a, source_b))
    of_fused, of_a, of_b = (_contrast(image, form == 'paper') for image in (fused, source_a, source_b))
    energy_a, energy_b = of_a.square(), of_b.square()
    share = torch.where(energy_a + energy_b > 0, energy_a / (energy_a + energy_b), 0.5)
    return (share * _kept(of_a, of_fused) + (1 - share) * _kept(of_b, of_fused)).mean((1, 2, 3))


def _kept(first: Image, second: Image) -> Image:
    larger = torch.maximum(first, second)
    return torch.where(larger > 0, torch.minimum(first, second) / larger, 1)


@shared
def _contrast(image: Image, normalised: bool) -> Image:
    """Masked contrast `c`; `normalised` scales the Gaussians to the sum 1."""
    size = image.shape[2:]
    seen = torch.fft.irfft2(torch.fft.rfft2(image) * _sensitivity(*size, image.device), size)
    seen = F.pad(seen, (WIDTH // 2,) * 4)
    fine, coarse = (filtered(seen, gaussian(WIDTH, sigma)) * (1 if normalised else _sum(sigma)) for sigma in SIGMAS)
    contrast = torch.where((fine - coarse).abs() < FLAT, 0, fine / coarse - 1)
    square = contrast.square()
    return contrast.abs() * square / (square + MASKING)


def _sum(sigma: float) -> float:
    """Sum of the Gaussian density at the window's pixels."""
    along = sum(math.exp(-0.5 * (i / sigma) ** 2) for i in range(-(WIDTH // 2), WIDTH // 2 + 1))
    return along ** 2 / (2 * math.pi * sigma ** 2)


@lru_cache(maxsize=8)
def _sensitivity(h: int, w: int, device: torch.device) -> Float[Tensor, 'h w_half']:
    """The eye's contrast sensitivity at each frequency of `torch.fft.rfft2`."""
    y = torch.fft.fftfreq(h, 1 / h, dtype=torch.float64, device=device)[:, None] / DEGREES
    x = torch.fft.rfftfreq(w, 1 / w, dtype=torch.float64, device=device) / DEGREES
    r = torch.hypot(x, y)
    return torch.exp(-(r / 15.387) ** 2) - 0.7622 * torch.exp(-(r / 1.3456) ** 2)
