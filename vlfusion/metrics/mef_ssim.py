"""MEF-SSIM: structural similarity of the fused image to a desired image, made from the sources' patches."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.sharing import shared
from vlfusion.metrics.windows import FLAT, flat_variance, gaussian, local_covariance, local_variance, uniform

Image = Float[Tensor, 'batch 1 h w']
Map = Float[Tensor, 'batch 1 h_valid w_valid']
WIDTH = 11
UNIFORM, WANG = uniform(WIDTH), gaussian(WIDTH, 1.5)
C = (0.03 * 255) ** 2
STRONGEST = 10.  # largest power, which nearly selects the stronger patch
ADDED = 0.001  # constant added to the norms
WEIGHTS = tuple(weight / 0.6305 for weight in (0.0448, 0.2856, 0.3001))
SOURCE = 'Ma, Zeng and Wang, IEEE Trans. Image Process. 24(11), 2015'


@fusion_metric(title='MEF structural similarity', direction='higher', range=(-1., 1.), over='joint', smallest=11,
               source=SOURCE, agrees=('tang',))
def MEF_SSIM(fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, ' batch']:
    """`MEF_SSIM = mean((2 cov_XF + C) / (var_X + var_F + C))` over all 11x11 windows, with the desired patch `X`.

    `a` and `b` are the sources' patches without their means, `|a|` and `|b|` their norms:

        X = max(|a|, |b|) x / |x|,   x = w_a a / |a| + w_b b / |b|
        w = |.|^p / (|a|^p + |b|^p),   p = min(tan(pi / 2 |a + b| / (|a| + |b|)), 10)

    So `X` has the strength of the stronger patch. It also has its structure, the more so the more consistent both
    patches are. As in the published code, 0.001 is added to the norms, but not in `p` and `|x|`. Variances and
    covariances are weighted by a Gaussian of standard deviation 1.5, and `C = (0.03 * 255)^2`. Luminance is not
    compared. If `x` is nothing but rounding errors, as for two sources of opposite contrast, it is set to 0.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 11x11.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(MEF_SSIM((a + b) / 2, a, b).item(), 3)
    0.927
    """
    return _similarity(fused, source_a, source_b)


@fusion_metric(title='MEF structural similarity, multi-scale', direction='higher', range=(0., 1.), over='joint',
               smallest=41, source=SOURCE, agrees=('mefb', 'tang'))
def MEF_MS_SSIM(fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, ' batch']:
    """`MEF_MS_SSIM = prod_i MEF_SSIM_i^w_i` over three scales, with `w` = .0711, .4530, .4760.

    Each scale is the previous scale averaged over 2x2 pixels. A scale with a negative mean counts as 0.

    MEFB prints it as MEF-SSIM, and Tang as MS_SSIM. The published code refuses images of less than 44 pixels, although
    the window fits at all three scales from 41 pixels on.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 41x41.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(MEF_MS_SSIM((a + b) / 2, a, b).item(), 3)
    0.899
    """
    images = fused, source_a, source_b
    similarity = 1.
    for weight in WEIGHTS:
        similarity = similarity * _similarity(*images).clamp(min=0) ** weight
        images = tuple(map(_halved, images))
    return similarity


@shared
def _similarity(fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, ' batch']:
    gain_a, gain_b = _gains(source_a, source_b)
    variance = (gain_a.square() * local_variance(source_a, WANG) + gain_b.square() * local_variance(source_b, WANG)
                + 2 * gain_a * gain_b * local_covariance(source_a, source_b, WANG)).clamp(min=0)
    covariance = gain_a * local_covariance(source_a, fused, WANG) + gain_b * local_covariance(source_b, fused, WANG)
    return ((2 * covariance + C) / (variance + local_variance(fused, WANG) + C)).mean((1, 2, 3))


@shared
def _gains(source_a: Image, source_b: Image) -> tuple[Map, Map]:
    """Factors of the patches `a` and `b` in `X`, for each window."""
    square_a, square_b = _squared_norm(source_a), _squared_norm(source_b)
    product = WIDTH ** 2 * local_covariance(source_a, source_b, UNIFORM)
    product = torch.where((square_a > 0) & (square_b > 0), product, 0)
    norm_a, norm_b = square_a.sqrt(), square_b.sqrt()
    consistency = (square_a + square_b + 2 * product).clamp(min=0).sqrt() / (norm_a + norm_b)
    consistency = consistency.nan_to_num(1).clamp(max=1)  # 0/0 where both are flat
    power = torch.tan(math.pi / 2 * consistency).clamp(0, STRONGEST)

    norm_a, norm_b = norm_a + ADDED, norm_b + ADDED
    weight_a = torch.sigmoid(power * (norm_a / norm_b).log())
    gain_a, gain_b = weight_a / norm_a, (1 - weight_a) / norm_b
    square = gain_a.square() * square_a + gain_b.square() * square_b + 2 * gain_a * gain_b * product
    scale = torch.where(square > FLAT, torch.maximum(norm_a, norm_b) * square.clamp(min=FLAT).rsqrt(), 0)
    return scale * gain_a, scale * gain_b


@shared
def _squared_norm(image: Image) -> Map:
    """Squared norm of each patch without its mean; 0 where it is flat."""
    return WIDTH ** 2 * flat_variance(image, UNIFORM)


@shared
def _halved(image: Image) -> Float[Tensor, 'batch 1 h_half w_half']:
    """Mean of each 2x2 pixels; at the end of an odd side, of fewer pixels."""
    return F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)
