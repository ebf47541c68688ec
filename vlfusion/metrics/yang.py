"""The similarities of Yang et al. and of Cvejic et al.: how well each window resembles the source that it should."""

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.imaging.blur import gaussian
from vlfusion.metrics.base import fusion_metric, variant
from vlfusion.metrics.sharing import shared
from vlfusion.metrics.windows import flat_variance, local_covariance, local_mean

Image = Float[Tensor, 'batch 1 h w']
Map = Float[Tensor, 'batch 1 h_valid w_valid']
WINDOW = gaussian(7, 1.5)
STABILISER = 2e-16  # SSIM's two constants: nearly zero, so that the index is Wang and Bovik's universal quality index


@fusion_metric(title="Yang's similarity", direction='higher', range=(-1., 1.), over='weighted', smallest=7,
               source='Yang, Zhang, Wang and Liu, Inf. Fusion 9(2), 2008', agrees=('liu', 'mefb'))
def Qy(fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, ' batch']:
    """`Qy = mean(l q(A, F) + (1 - l) q(B, F))` over all windows; where `q(A, B) < 0.75`, the larger `q` counts alone.

    `q` is the universal quality index, and `l = var_A / (var_A + var_B)`. Where the sources resemble each other, the
    fused image must resemble both, elsewhere only one of them.

    In a flat window, the published code divides rounding errors by each other. Here the variance of a flat window is
    zero, and `l` is one half where both sources are flat.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 7x7.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Qy((a + b) / 2, a, b).item(), 3)
    0.708
    """
    similar_a, similar_b = _index(source_a, fused), _index(source_b, fused)
    variance_a, variance_b = flat_variance(source_a, WINDOW), flat_variance(source_b, WINDOW)
    total = variance_a + variance_b
    share = torch.where(total > 0, variance_a / total, 0.5)
    quality = torch.where(_index(source_a, source_b) >= 0.75, share * similar_a + (1 - share) * similar_b,
                          torch.maximum(similar_a, similar_b))
    return quality.mean((1, 2, 3))


@fusion_metric(title="Cvejic's similarity", direction='higher', range=(-1., 1.), over='weighted', smallest=7,
               source='Cvejic, Loza, Bull and Canagarajah, Int. J. Signal Process. 2(3), 2005',
               variants={'liu': variant('a window with a weight below 0 has the value 0, and above 1 the value 1; if a '
                                        'source is flat, rounding decides in that code whether the weight is below 0. '
                                        'It depends on which source is A', cut=True),
                         'mefb': 'liu'})
def Qc(fused: Image, source_a: Image, source_b: Image, cut: bool = False) -> Float[Tensor, ' batch']:
    """`Qc = mean(s q(A, F) + (1 - s) q(B, F))` over all windows, `s = cov_AF / (cov_AF + cov_BF)` clipped to 0..1.

    `q` is the universal quality index. Flat windows are as in `Qy`: `s` is one half where both covariances are zero.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 7x7.
        cut: whether a window with `s` below 0 has the value 0, and one with `s` above 1 the value 1.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Qc((a + b) / 2, a, b).item(), 3)
    0.679
    """
    covariance_a, covariance_b = _covariance(source_a, fused), _covariance(source_b, fused)
    share = covariance_a / (covariance_a + covariance_b)
    share = torch.where((covariance_a == 0) & (covariance_b == 0), 0.5, share)
    inside = share.clamp(0, 1)
    quality = inside * _index(source_a, fused) + (1 - inside) * _index(source_b, fused)
    if cut:
        quality = torch.where(share == inside, quality, inside)
    return quality.mean((1, 2, 3))


@shared
def _covariance(first: Image, second: Image) -> Map:
    flat = (flat_variance(first, WINDOW) == 0) | (flat_variance(second, WINDOW) == 0)
    return torch.where(flat, 0, local_covariance(first, second, WINDOW))


@shared
def _index(first: Image, second: Image) -> Map:
    """The universal quality index: SSIM with constants of nearly zero."""
    mean_1, mean_2 = local_mean(first, WINDOW), local_mean(second, WINDOW)
    luminance = (2 * mean_1 * mean_2 + STABILISER) / (mean_1.square() + mean_2.square() + STABILISER)
    variances = flat_variance(first, WINDOW) + flat_variance(second, WINDOW)
    return luminance * (2 * _covariance(first, second) + STABILISER) / (variances + STABILISER)
