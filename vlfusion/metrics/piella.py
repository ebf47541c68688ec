"""The fusion quality indices of Piella and Heijmans: structural similarity to the source with more contrast."""

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant
from vlfusion.metrics.gradients import sobel
from vlfusion.metrics.sharing import shared
from vlfusion.metrics.ssim import WANG, ssim_map
from vlfusion.metrics.windows import flat_variance

Image = Float[Tensor, 'batch 1 h w']
SOURCE = 'Piella and Heijmans, ICIP 2003'


@fusion_metric(title='Fusion quality index', direction='higher', range=(-1., 1.), over='weighted', smallest=11,
               source=SOURCE, agrees=('liu',))
def Qs(fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, ' batch']:
    """`Qs = mean(l SSIM(A, F) + (1 - l) SSIM(B, F))`, with `l = var_A / (var_A + var_B)`, one half where both are flat.

    The paper uses the universal quality index. This metric uses SSIM with Wang's window, like Z. Liu's code.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 11x11.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Qs((a + b) / 2, a, b).item(), 3)
    0.673
    """
    return _similarity(fused, source_a, source_b).mean((1, 2, 3))


@fusion_metric(title='Weighted fusion quality index', direction='higher', range=(-1., 1.), over='weighted', smallest=11,
               source=SOURCE, agrees=('liu',),
               variants={'mefb': variant('of the edge images, as in the second factor of Qe', edges=True)})
def Qw(fused: Image, source_a: Image, source_b: Image, edges: bool = False) -> Float[Tensor, ' batch']:
    """`Qw = sum(c (l SSIM(A, F) + (1 - l) SSIM(B, F))) / sum(c)`, weighted by the contrast `c = max(var_A, var_B)`.

    If both sources are completely flat, all places get the same weight, and it equals `Qs`.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 11x11.
        edges: whether to compare the images' edge strengths instead of the images.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Qw((a + b) / 2, a, b).item(), 3)
    0.669
    """
    if edges:
        fused, source_a, source_b = map(_edges, (fused, source_a, source_b))
    weight = torch.maximum(flat_variance(source_a, WANG), flat_variance(source_b, WANG))
    weight = torch.where(weight.amax((1, 2, 3), keepdim=True) > 0, weight, 1)
    return (weight * _similarity(fused, source_a, source_b)).sum((1, 2, 3)) / weight.sum((1, 2, 3))


@fusion_metric(title='Edge-dependent fusion quality index', direction='higher', range=(-1., 1.), over='weighted',
               smallest=11, source=SOURCE)
def Qe(fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, ' batch']:
    """`Qe = Qw(F, A, B) Qw(F', A', B')`, with the edge strengths `'` of an image (Prewitt; black around the image).

    Z. Liu's code and MEFB leave out the first factor; see `Qw`, variant `mefb`.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 11x11.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Qe((a + b) / 2, a, b).item(), 3)
    0.279
    """
    return Qw(fused, source_a, source_b) * Qw.variants['mefb'](fused, source_a, source_b)


@shared
def _similarity(fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, 'batch 1 h_valid w_valid']:
    variance_a, variance_b = flat_variance(source_a, WANG), flat_variance(source_b, WANG)
    total = variance_a + variance_b
    share = torch.where(total > 0, variance_a / total, 0.5)
    return share * ssim_map(source_a, fused, WANG) + (1 - share) * ssim_map(source_b, fused, WANG)


@shared
def _edges(image: Image) -> Image:
    """Magnitude of the Prewitt gradient; up to 1080 for grey levels in 0..255."""
    x, y = sobel(image, middle=1.)
    return (x.square() + y.square()).sqrt()
