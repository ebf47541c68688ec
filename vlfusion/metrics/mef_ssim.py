"""MEF-SSIM: structural similarity of the fused image to a desired image, made from the sources' patches."""

import math
from itertools import combinations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vlfusion.imaging.blur import gaussian
from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.sharing import shared
from vlfusion.metrics.windows import FLAT, flat_variance, local_covariance, local_variance, uniform

Image = Float[Tensor, 'batch 1 h w']
Map = Float[Tensor, 'batch 1 h_valid w_valid']
WIDTH = 11
UNIFORM, WANG = uniform(WIDTH), gaussian(WIDTH, 1.5)
C = (0.03 * 255) ** 2
STRONGEST = 10.  # largest power, which nearly selects the stronger patch
ADDED = 0.001  # constant added to the norms
WEIGHTS = tuple(weight / 0.6305 for weight in (0.0448, 0.2856, 0.3001))
SOURCE = 'Ma, Zeng and Wang, IEEE Trans. Image Process. 24(11), 2015'


@fusion_metric(title='MEF structural similarity', direction='higher', range=(-1., 1.), over='joint', many=True,
               smallest=11, source=SOURCE, agrees=('tang',))
def MEF_SSIM(fused: Image, *sources: Image) -> Float[Tensor, ' batch']:
    """`MEF_SSIM = mean((2 cov_XF + C) / (var_X + var_F + C))` over all 11x11 windows, with the desired patch `X`.

    `a` and `b` are the sources' patches without their means, `|a|` and `|b|` their norms:

        X = max(|a|, |b|) x / |x|,   x = w_a a / |a| + w_b b / |b|
        w = |.|^p / (|a|^p + |b|^p),   p = min(tan(pi / 2 |a + b| / (|a| + |b|)), 10)

    So `X` has the strength of the stronger patch. It also has its structure, the more so the more consistent both
    patches are. As in the published code, 0.001 is added to the norms, but not in `p` and `|x|`. Variances and
    covariances are weighted by a Gaussian of standard deviation 1.5, and `C = (0.03 * 255)^2`. Luminance is not
    compared. If `x` is nothing but rounding errors, as for two sources of opposite contrast, it is set to 0.

    For more than two sources, all sums and the maximum are over all of them, as in the paper.

    Args:
        fused, sources: grey levels in 0..255, at least 11x11.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(MEF_SSIM((a + b) / 2, a, b).item(), 3)
    0.927
    """
    return _similarity(fused, *sources)


@fusion_metric(title='MEF structural similarity, multi-scale', direction='higher', range=(0., 1.), over='joint',
               many=True, smallest=41, source=SOURCE, agrees=('mefb', 'tang'))
def MEF_MS_SSIM(fused: Image, *sources: Image) -> Float[Tensor, ' batch']:
    """`MEF_MS_SSIM = prod_i MEF_SSIM_i^w_i` over three scales, with `w` = .0711, .4530, .4760.

    Each scale is the previous scale averaged over 2x2 pixels. A scale with a negative mean counts as 0.

    MEFB prints it as MEF-SSIM, and Tang as MS_SSIM. The published code refuses images of less than 44 pixels, although
    the window fits at all three scales from 41 pixels on.

    Args:
        fused, sources: grey levels in 0..255, at least 41x41.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(MEF_MS_SSIM((a + b) / 2, a, b).item(), 3)
    0.899
    """
    images = fused, *sources
    similarity = 1.
    for weight in WEIGHTS:
        similarity = similarity * _similarity(*images).clamp(min=0) ** weight
        images = tuple(map(_halved, images))
    return similarity


@shared
def _similarity(fused: Image, *sources: Image) -> Float[Tensor, ' batch']:
    gains = _gains(*sources)
    variance = _squared(gains, [local_variance(source, WANG) for source in sources],
                        [local_covariance(*pair, WANG) for pair in combinations(sources, 2)]).clamp(min=0)
    covariance = sum(gain * local_covariance(source, fused, WANG)
                     for gain, source in zip(gains, sources, strict=True))
    return ((2 * covariance + C) / (variance + local_variance(fused, WANG) + C)).mean((1, 2, 3))


@shared
def _gains(*sources: Image) -> list[Map]:
    """Factors of the sources' patches in `X`, for each window."""
    squares = [_squared_norm(source) for source in sources]
    products = [torch.where((square > 0) & (other > 0), WIDTH ** 2 * local_covariance(*pair, UNIFORM), 0)
                for pair, (square, other) in zip(combinations(sources, 2), combinations(squares, 2), strict=True)]
    norms = [square.sqrt() for square in squares]
    consistency = (sum(squares) + 2 * sum(products)).clamp(min=0).sqrt() / sum(norms)
    consistency = consistency.nan_to_num(1).clamp(max=1)  # 0/0 where all are flat
    power = torch.tan(math.pi / 2 * consistency).clamp(0, STRONGEST)

    norms = [norm + ADDED for norm in norms]
    weights = (power * torch.stack(norms).log()).softmax(0)
    gains = [weight / norm for weight, norm in zip(weights, norms, strict=True)]
    square = _squared(gains, squares, products)
    scale = torch.where(square > FLAT, torch.stack(norms).amax(0) * square.clamp(min=FLAT).rsqrt(), 0)
    return [scale * gain for gain in gains]


def _squared(gains: list[Map], squares: list[Map], products: list[Map]) -> Map:
    """Squared norm of a weighted sum of patches, from the squared norms and the products of each two of them."""
    diagonal = sum(gain.square() * square for gain, square in zip(gains, squares, strict=True))
    return diagonal + 2 * sum(gain * other * product for (gain, other), product in
                              zip(combinations(gains, 2), products, strict=True))


@shared
def _squared_norm(image: Image) -> Map:
    """Squared norm of each patch without its mean; 0 where it is flat."""
    return WIDTH ** 2 * flat_variance(image, UNIFORM)


@shared
def _halved(image: Image) -> Float[Tensor, 'batch 1 h_half w_half']:
    """Mean of each 2x2 pixels; at the end of an odd side, of fewer pixels."""
    return F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)
