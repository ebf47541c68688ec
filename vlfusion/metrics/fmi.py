"""Feature mutual information: the information that windows of the fused image and the sources share, for five features.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant
from vlfusion.metrics.gradients import sobel

Image = Float[Tensor, 'batch 1 h w']
PerWindow = Float[Tensor, 'window']
SOURCE = ('Haghighat, Aghagolzadeh and Seyedarabi, Comput. Electr. Eng. 37(5), 2011; '
          'fast version: Haghighat and Razian, AICT 2014')
PIXELS = 9  # of a window
TAPS = 102  # length of the wavelet's filters
ROUNDING = 100 * 2 ** -52  # largest rounding error of a diagonal gradient
CHUNK = 3072  # windows at a time on a CPU: few enough for the cache, and for the allocator to reuse their memory
CHUNK_ELSEWHERE = 65_536  # on other devices: enough to keep them busy
TINY = 1e-300
UNBOUNDED = variant('joint distributions may have negative shares, which add -p log |p| to the entropy, so that a '
                    'window may exceed 1', bounded=False, range=(0., math.inf))


@fusion_metric(title='Feature mutual information, pixels', direction='higher', range=(0., 1.), over='mean',
               smallest=3, source=SOURCE, variants={'haghighat': UNBOUNDED})
def FMI_pixel(fused: Image, source_a: Image, source_b: Image, bounded: bool = True) -> Float[Tensor, ' batch']:
    """`FMI_pixel = mean((i(A, F) + i(B, F)) / 2)` over all 3x3 windows, `i(S, F) = 2 I(S, F) / (H(S) + H(F))`.

    A window minus its minimum, divided by its sum, is read as the distribution `p` of a number from 1 to 9: the pixel's
    place, counted down the columns. `H` is its entropy. The joint distribution mixes independence with one of Frechet's
    bounds:

        p_SF = phi p_bound + (1 - phi) p_S p_F,   phi = min(r / r_bound, 1)

    `r` is Pearson's correlation of the nine shares. `r_bound` is the correlation of two numbers with the joint
    distribution `p_bound`: the upper bound for `r` above 0, otherwise the lower bound. Equal windows count as 1.

    The published code does not limit `phi` to 1. In a fifth or more of the windows of real images `phi` is above 1, and
    then the joint distribution has negative shares. Tang's scripts print `FMI_edge` under the name FMI_pixel.

    Special cases: a flat window is a uniform distribution. Two flat windows count as 1; in the published code this is
    due to rounding (seen in Octave). If each of two windows has a single pixel above its minimum, neither has entropy,
    and they count as 0 unless they are equal. In the published code, source B is compared with the fused window
    rescaled to 0..1 if source A did not equal it. So the order of the sources may matter there for windows of the
    levels 0 and 1 only.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 3x3.
        bounded: whether to limit `phi` to 1.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(FMI_pixel((a + b) / 2, a, b).item(), 3)
    0.436
    """
    return _fmi(_pixels, fused, source_a, source_b, bounded=bounded)


@fusion_metric(title='Feature mutual information, gradient', direction='higher', range=(0., 1.), over='mean',
               smallest=3, source=SOURCE, variants={'haghighat': UNBOUNDED})
def FMI_gradient(fused: Image, source_a: Image, source_b: Image, bounded: bool = True) -> Float[Tensor, ' batch']:
    """`FMI_gradient = FMI_pixel(dF, dA, dB)`, with central differences `d` along x, one-sided at the borders.

    The published code does not use differences along y.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 3x3.
        bounded: see `FMI_pixel`.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(FMI_gradient((a + b) / 2, a, b).item(), 3)
    0.33
    """
    return _fmi(_gradient, fused, source_a, source_b, bounded=bounded)


@fusion_metric(title='Feature mutual information, edges', direction='higher', range=(0., 1.), over='mean',
               smallest=3, source=SOURCE)
def FMI_edge(fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, ' batch']:
    """`FMI_edge = FMI_pixel(eF, eA, eB)`, with the thinned Sobel edge maps `e` (0 or 1) of MATLAB's `edge`.

    The threshold is MATLAB's own.

    A pixel is an edge if its squared gradient exceeds four times the mean and is a maximum along the gradient's larger
    component, x or y: not below the pixel before it, and above the pixel after it. Gradient and threshold have been
    shown to equal those of Octave's `edge`, whose thinning differs. The thinning is that of MATLAB's code generator.
    MATLAB itself was not available to compare.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 3x3.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(FMI_edge((a + b) / 2, a, b).item(), 3)
    0.926
    """
    return _fmi(_edges, fused, source_a, source_b)


@fusion_metric(title='Feature mutual information, DCT', direction='higher', range=(0., 1.), over='mean',
               smallest=3, source=SOURCE, variants={'haghighat': UNBOUNDED, 'tang': 'haghighat'})
def FMI_dct(fused: Image, source_a: Image, source_b: Image, bounded: bool = True) -> Float[Tensor, ' batch']:
    """`FMI_dct = FMI_pixel(cF, cA, cB)`, with the whole image's orthonormal DCT-II `c`, in windows of 3x3 coefficients.

    Coefficients are rounded to multiples of 2^-26. Otherwise, windows of zero coefficients, as in a flat image, would
    contain rounding errors, which rescaling makes large.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 3x3.
        bounded: see `FMI_pixel`.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(FMI_dct((a + b) / 2, a, b).item(), 3)
    0.398
    """
    return _fmi(_dct, fused, source_a, source_b, bounded=bounded)


@fusion_metric(title='Feature mutual information, wavelet', direction='higher', range=(0., 1.), over='mean',
               source=SOURCE, aliases=('FMI_w',))
def FMI_wavelet(fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, ' batch']:
    """`FMI_wavelet = FMI_pixel(wF, wA, wB)`, with one level `w` of the discrete Meyer wavelet transform.

    Its four parts are laid side by side and rescaled to 0..1.

    Images are mirrored at the borders, and the border pixel is repeated, as by MATLAB's default. The filter is Meyer's,
    cut to 102 coefficients like MATLAB's 'dmey'. The coefficients equal the table in wavelib to 1e-10. PyWavelets has
    another filter, of 62 coefficients. MATLAB was not available to compare. The rescaled values are rounded to
    multiples of 2^-36; see `FMI_dct`.

    Args:
        fused, source_a, source_b: grey levels in 0..255.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(FMI_wavelet((a + b) / 2, a, b).item(), 3)
    0.43
    """
    return _fmi(_wavelet, fused, source_a, source_b)


def _pixels(image: Image) -> Image:
    return image


def _gradient(image: Image) -> Image:
    return torch.gradient(image, dim=3)[0]


def _edges(image: Image) -> Image:
    x, y = (difference.abs() / 8 for difference in sobel(image, 'replicate'))
    strength = x.square() + y.square()
    highest = torch.zeros_like(strength, dtype=torch.bool)
    for axis, along, across, border in ((3, x, y, (1, 1)), (2, y, x, (0, 0, 1, 1))):
        around = F.pad(strength, border, value=-1)  # so that border pixels may be edges
        before, after = around.narrow(axis, 0, image.shape[axis]), around.narrow(axis, 2, image.shape[axis])
        highest |= (along >= across - ROUNDING) & (before <= strength) & (strength > after)
    return (highest & (strength > 4 * strength.mean((1, 2, 3), keepdim=True))).to(image)


def _dct(image: Image) -> Image:
    down, along = (_cosines(size, image.device) for size in image.shape[2:])
    return _rounded(down @ image @ along.T, 26)


def _wavelet(image: Image) -> Float[Tensor, 'batch 1 h_parts w_parts']:
    (low_y, high_y), (low_x, high_x) = (_filters(size, image.device) for size in image.shape[2:])
    parts = torch.cat([torch.cat([low_y @ image @ low_x.T, high_y @ image @ low_x.T], 3),
                       torch.cat([low_y @ image @ high_x.T, high_y @ image @ high_x.T], 3)], 2)
    low, high = parts.amin((1, 2, 3), keepdim=True), parts.amax((1, 2, 3), keepdim=True)
    return _rounded((parts - low) / torch.where(high > low, high - low, 1), 36)


def _rounded(feature: Image, bits: int) -> Image:
    return (feature * 2. ** bits).round() * 2. ** -bits


@lru_cache(maxsize=8)  # a device would hold those of all sizes for good
def _cosines(size: int, device: torch.device) -> Float[Tensor, 'frequency place']:
    """The orthonormal DCT-II as a matrix."""
    frequency, place = torch.arange(size, dtype=torch.float64)[:, None], torch.arange(size) + 0.5
    cosines = torch.cos(math.pi / size * frequency * place) * math.sqrt(2 / size)
    cosines[0] /= math.sqrt(2)
    return cosines.to(device)


@lru_cache(maxsize=8)
def _filters(size: int, device: torch.device) -> Float[Tensor, 'low_high half place']:
    """Matrices that apply Meyer's two filters and keep every second value."""
    low = _meyer()
    high = low * (-1.) ** torch.arange(1, TAPS + 1)
    half = torch.arange((size + TAPS - 1) // 2)[:, None]
    place = (2 * half + 1 - torch.arange(TAPS)) % (2 * size)
    place = torch.minimum(place, 2 * size - 1 - place)  # mirrored
    return torch.stack([low.new_zeros(len(half), size).scatter_add_(1, place, taps.expand_as(place))
                        for taps in (low.flip(0), high)]).to(device)


@cache
def _meyer() -> Float[Tensor, '102']:
    """Meyer's low-pass filter for reconstruction: its 101 middle coefficients with the sum sqrt(2), and a zero."""
    ramp = torch.linspace(-1, 2, 4097, dtype=torch.float64).clamp(0, 1)  # of frequencies from 0 to pi
    smooth = ramp ** 4 * (35 - 84 * ramp + 70 * ramp ** 2 - 20 * ramp ** 3)
    middle = torch.fft.irfft(torch.cos(math.pi / 2 * smooth)).roll(TAPS // 2 - 1)[:TAPS - 1]
    return F.pad(math.sqrt(2) * middle / middle.sum(), (0, 1))


def _fmi(feature: Callable[[Image], Image], *images: Image, bounded: bool = True) -> Float[Tensor, ' batch']:
    return torch.stack([_mean(*features, bounded=bounded) for features in zip(*map(feature, images), strict=True)])


def _mean(*features: Float[Tensor, '1 h w'], bounded: bool) -> Float[Tensor, '']:
    """Mean over all windows of one image."""
    rows, columns = features[0].shape[1] - 2, features[0].shape[2] - 2
    step = max((CHUNK if features[0].device.type == 'cpu' else CHUNK_ELSEWHERE) // columns, 1)
    total = 0.
    for top in range(0, rows, step):
        fused, *sources = (_windows(feature[0, top:top + step + 2]) for feature in features)
        total = total + sum(_similarity(source, fused, bounded).sum() for source in sources)
    return total / (2 * rows * columns)


@dataclass(frozen=True)
class Windows:
    """Windows, and the distributions that they are read as."""

    pixels: Float[Tensor, '9 window']
    flat: PerWindow  # 1 for a flat window, else 0
    cumulative: Float[Tensor, '9 window']
    deviation: Float[Tensor, '9 window']  # deviation of the shares from their mean
    norm: PerWindow  # norm of `deviation`
    spread: PerWindow  # standard deviation of the number with this distribution
    entropy: PerWindow  # in nat


def _windows(feature: Float[Tensor, 'h w']) -> Windows:
    h, w = feature.shape
    pixels = torch.stack([feature[y:h - 2 + y, x:w - 2 + x].flatten() for x in range(3) for y in range(3)])
    shares = pixels - pixels.amin(0)
    total = shares.sum(0)
    flat = (total == 0).to(feature)
    shares.add_(flat / PIXELS).div_(total.add_(flat))
    cumulative = shares.clone()
    for before, place in pairwise(cumulative):  # several times faster than cumsum
        place += before
    number = torch.arange(-4., 5., dtype=feature.dtype, device=feature.device)
    variance = number.square() @ shares - (number @ shares).square()
    deviation = shares - 1 / PIXELS
    return Windows(pixels, flat, cumulative, deviation, deviation.square().sum(0).sqrt_(),
                   variance.clamp_(min=0).sqrt_(), _plogp(shares).neg_())


def _similarity(source: Windows, fused: Windows, bounded: bool) -> PerWindow:
    """`2 I(S, F) / (H(S) + H(F))` of each window.

    Where the bound is zero, shares of the joint distribution are multiples of independent shares, whose entropy has a
    closed form. The lower bound is the upper bound with the source's numbers in reversed order.
    """
    correlation = (source.deviation * fused.deviation).sum(0) / (source.norm * fused.norm).clamp_(min=TINY)
    ends_s, ends_f = source.cumulative[:-1], fused.cumulative[:-1]
    ends_s = torch.lerp(ends_s, 1 - ends_s.flip(0), (correlation < 0).to(ends_s))
    ends, overlap, independent = _overlaps(ends_s, ends_f)

    # Hoeffding: the sum of min(s, f) - s f over all pairs of ends. The sum of |s - f| follows from their joint order.
    place, places = (torch.arange(-last, last + 1, 2, dtype=ends.dtype, device=ends.device) for last in (7., 15.))
    sum_s, sum_f = ends_s.sum(0), ends_f.sum(0)
    distances = places @ ends - place @ ends_s - place @ ends_f
    covariance = (8 * (sum_s + sum_f) - distances) / 2 - sum_s * sum_f
    spread = source.spread * fused.spread
    phi = (correlation.abs_() * spread).div_(covariance.clamp_(min=1e-15)).mul_(spread > 0)
    if bounded:
        phi.clamp_(max=1)

    rest = 1 - phi
    independent *= rest
    total = source.entropy + fused.entropy
    joint = rest * total - _plogp(rest[None]) + _plogp(independent) - _plogp(torch.addcmul(independent, phi, overlap))
    similarity = 2 * (total - joint) / total.clamp_(min=TINY)
    same = (source.pixels == fused.pixels).all(0) | (source.flat * fused.flat).bool()
    return similarity.clamp_(min=0).masked_fill_(same, 1)


def _overlaps(ends_s: Float[Tensor, '8 window'], ends_f: Float[Tensor, '8 window']) -> tuple[
        Float[Tensor, '16 window'], Float[Tensor, '17 window'], Float[Tensor, '17 window']]:
    """Terms of the upper bound: two rows of nine bins, laid on the line from 0 to 1, cut it into 17 pieces.

    Args:
        ends_s: ends of the source's bins, without the last.
        ends_f: ends of the fused image's bins, without the last.

    Returns:
        All ends in order; the length of each piece, which is the share of the pair of bins that overlap in it; and the
        product of the lengths of these two bins.
    """
    count = ends_s.shape[1]
    # The last bit of an end marks its row. The ends rise, then fall: a bitonic sequence, merged in four steps.
    ends = torch.cat([ends_s.view(torch.int64) & ~1, ends_f.view(torch.int64).flip(0) | 1]).view(ends_s.dtype)
    for half in (8, 4, 2, 1):
        first, second = ends.view(-1, 2, half, count).unbind(1)
        ends = torch.empty_like(ends).view(-1, 2, half, count)
        torch.minimum(first, second, out=ends[:, 0])
        torch.maximum(first, second, out=ends[:, 1])
    bits = ends.view(16, count).view(torch.int64)
    of_f, ends = (bits & 1).to(ends), (bits & ~1).view(ends.dtype)
    own = torch.stack([1 - of_f, of_f])

    # In each row, the bin around a piece reaches from the last end before the piece to the next end after it.
    start, stop = ends.new_zeros(2, 17, count), ends.new_ones(2, 17, count)
    torch.mul(ends, own, out=start[:, 1:])
    torch.add(ends, 1 - own, out=stop[:, :-1])
    for before, piece in pairwise(start.unbind(1)):
        torch.maximum(before, piece, out=piece)
    for after, piece in pairwise(reversed(stop.unbind(1))):
        torch.minimum(after, piece, out=piece)
    lengths_s, lengths_f = stop.sub_(start)
    border = ends.new_zeros(1, count)
    return ends, torch.cat([ends, border + 1]) - torch.cat([border, ends]), lengths_s.mul_(lengths_f)


def _plogp(shares: Float[Tensor, 'bin window']) -> PerWindow:
    """`sum p log |p|`; 0 for 0."""
    return shares.abs().add_(TINY).log_().mul_(shares).sum(0)
