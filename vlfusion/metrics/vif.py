"""Visual information fidelity in the pixel domain: how much of the sources' information the fused image keeps."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.imaging.blur import filtered, gaussian
from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.sharing import shared
from vlfusion.metrics.windows import local_covariance, local_variance

Image = Float[Tensor, 'batch 1 h w']
Map = Float[Tensor, 'batch 1 h_valid w_valid']
WINDOWS = tuple(gaussian(width, width / 5) for width in (17, 9, 5, 3))  # one for each scale
NOISE = 2.0  # variance of the visual noise, in squared grey levels
EPSILON = 1e-10  # a smaller variance counts as zero


@fusion_metric(title='Visual information fidelity', direction='higher', range=(0., math.inf), over='sum', smallest=41,
               aliases=('VIFp',), source='Sheikh and Bovik, IEEE Trans. Image Process. 15(2), 2006',
               agrees=('film', 'cddfuse', 'tang'))
def VIF(fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, ' batch']:
    """`VIF = VIFp(A, F) + VIFp(B, F)`: the sum over the sources, 2 for a fused image that equals both.

    In each window the fused image is modelled as `F = g S + noise`. The gain `g` and the variance of the noise follow
    from the local moments of the source `S` and of `F`. With the variance `v` of the visual noise,

        VIFp(S, F) = sum log10(1 + g^2 var(S) / (var(noise) + v)) / sum log10(1 + var(S) / v)

    over all windows of four scales. A source without any variance counts as 1.

    FILM's and CDDFuse's evaluator calls it VIFF, and their papers VIF. The VIFF of Han et al. (Inf. Fusion 14(2), 2013)
    is another measure, here `VIFF`.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 41x41, for a complete window at the fourth scale.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(VIF((a + b) / 2, a, b).item(), 3)
    0.205
    """
    total = 0.
    for source in (source_a, source_b):
        scales = [gained(source, fused, scale).information(NOISE) for scale in range(len(WINDOWS))]
        kept, present = (sum(part.sum((1, 2, 3)) for part in parts) for parts in zip(*scales, strict=True))
        total = total + torch.where(present > 0, kept / present, 1.)
    return total


@dataclass(frozen=True)
class Gained:
    """The model `F = gain S + noise` of the fused image in each window of one scale."""

    gain: Map
    variance_s: Map
    variance_noise: Map

    def information(self, visual_noise: float) -> tuple[Map, Map]:
        """The information about the source in the fused image, and the information in the source."""
        kept = self.gain.square() * self.variance_s / (self.variance_noise + visual_noise)
        return kept.add_(1).log10_(), (self.variance_s / visual_noise).add_(1).log10_()


@shared
def gained(source: Image, fused: Image, scale: int) -> Gained:
    """Fit the model of the fused image at a scale, 0 being the finest, from the local moments of both images."""
    source, fused, window = at_scale(source, scale), at_scale(fused, scale), WINDOWS[scale]
    variance_s, variance_f = local_variance(source, window), local_variance(fused, window)
    covariance = local_covariance(source, fused, window)
    flat = (variance_s < EPSILON) | (variance_f < EPSILON)
    gain = (covariance / (variance_s + EPSILON)).clamp_(min=0).masked_fill_(flat, 0)
    noise = (variance_f - gain * covariance).clamp_(min=EPSILON)
    return Gained(gain, variance_s.masked_fill(variance_s < EPSILON, 0), noise)


@shared
def at_scale(image: Image, scale: int) -> Float[Tensor, 'batch 1 h_scale w_scale']:
    """The image at a scale: every second pixel of the previous scale, filtered by the scale's own window."""
    return image if scale == 0 else filtered(at_scale(image, scale - 1), WINDOWS[scale])[..., ::2, ::2]
