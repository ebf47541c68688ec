"""Phase congruency: how well the features, edges and corners of the fused image match those of the sources."""

import math
from functools import lru_cache, reduce
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from vlfusion.imaging.blur import gaussian
from vlfusion.metrics.base import fusion_metric, variant
from vlfusion.metrics.sharing import shared
from vlfusion.metrics.windows import local_covariance, local_variance

Image = Float[Tensor, 'batch 1 h w']
Padded = Float[Tensor, 'batch 1 h_padded w_padded']
WAVELENGTHS = tuple(3 * 2.1 ** scale for scale in range(4))  # wavelengths of the log-Gabor filters, in pixels
ANGLES = tuple(math.pi * step / 6 for step in range(6))  # orientations of the filters
BANDWIDTH = 0.55  # standard deviation of a log-Gabor filter over its centre frequency
SPREAD = math.pi / 6 / 1.2  # standard deviation of a filter's angle
NOISE = (math.sqrt(math.pi / 2) + 2 * math.sqrt(2 - math.pi / 2)) / 1.7  # Rayleigh distribution: mean + 2 deviations
EPSILON = 1e-4  # grey levels; a smaller response counts as zero
FEATURE = 0.1  # a place with more phase congruency is a feature
WINDOW = gaussian(11, 1.5)
C = 1e-4
FLAT = 1e-12  # a smaller variance of a feature map is rounding


@fusion_metric(title='Phase congruency', direction='higher', range=(-1., 1.), over='joint', smallest=28,
               source='Zhao, Laganiere and Liu, IJICIC 3(6A), 2007; phase congruency: Kovesi, DICTA 2003',
               variants={'liu': variant("the moments' mixed term is a quarter of the right value; maps of the sources, "
                                        'but not of the fused image, are set to zero where they have no feature; a '
                                        'window where the fused image has no features counts as 1; and for an odd '
                                        'height or width the low-pass filter is off by one frequency', form='liu'),
                         'mefb': 'liu'})
def Qp(fused: Image, source_a: Image, source_b: Image,
       form: Literal['paper', 'liu'] = 'paper') -> Float[Tensor, ' batch']:
    """`Qp = Q_p Q_M Q_m`: each factor is the mean best correlation of a feature map, where a source has a feature.

    The maps are phase congruency `p`, and the greatest and least moments `M` and `m` of its distribution over
    orientations. `M` is strong at edges, `m` at corners. At each place, the fused image's map is compared with the map
    of every source that has a feature (`p > 0.1`) there, and with a map composed of both sources by larger `p`. The
    best correlation counts:

        (cov_XF + C) / (sqrt(var_X var_F) + C),   C = 0.0001

    It is local, in a Gaussian window of 11x11 pixels and standard deviation 1.5, with zeros around the map. It is 0
    where only one of both maps is flat, so that a fused image without features scores 0 and not 1.

    Phase congruency hardly depends on contrast and brightness. The result is NaN if neither source has a feature,
    because there is nothing to preserve.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 28x28: the longest wavelength of the filters.
        form: form of the paper, or of Z. Liu's code.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Qp((a + b) / 2, a, b).item(), 3)
    0.456
    """
    cut = form == 'liu'
    of_fused, of_a, of_b = (_maps(image, form) for image in (fused, source_a, source_b))
    of_both = tuple(torch.where(of_a[0] > of_b[0], map_a, map_b) for map_a, map_b in zip(of_a, of_b, strict=True))
    features = [maps[0] > FEATURE for maps in (of_a, of_b, of_both)]
    quality = 1.
    for fused_map, *source_maps in zip(of_fused, of_a, of_b, of_both, strict=True):
        best = torch.stack([
            torch.where(_inner(there), _correlation(there * source_map if cut else source_map, fused_map, cut),
                        0 if cut else -1)
            for source_map, there in zip(source_maps, features, strict=True)]).amax(0)
        there = _inner(features[-1])
        quality = quality * (there * best).sum((1, 2, 3)) / there.sum((1, 2, 3))
    return quality


def _inner(padded: Bool[Tensor, 'batch 1 h_padded w_padded']) -> Bool[Tensor, 'batch 1 h w']:
    border = len(WINDOW) // 2
    return padded[..., border:-border, border:-border]


def _correlation(first: Padded, second: Padded, flat_is_alike: bool) -> Image:
    variance_1, variance_2 = local_variance(first, WINDOW), local_variance(second, WINDOW)
    correlation = (local_covariance(first, second, WINDOW) + C) / ((variance_1 * variance_2).sqrt() + C)
    if flat_is_alike:
        return correlation
    return torch.where((variance_1 < FLAT) == (variance_2 < FLAT), correlation, 0)


@shared
def _maps(image: Image, form: str) -> tuple[Padded, Padded, Padded]:
    """Phase congruency, its greatest and its least moment, with zeros around them for the window."""
    odd_size = image.shape[2] % 2 or image.shape[3] % 2
    strength, along_x, along_y, mixed = _congruency(image, aligned=not (form == 'liu' and odd_size))
    root = torch.hypot(along_x - along_y, mixed / 2 if form == 'liu' else 2 * mixed)
    if form == 'liu':
        root = root + EPSILON
    maps = strength, (along_x + along_y + root) / 2, (along_x + along_y - root) / 2
    return tuple(F.pad(each, (len(WINDOW) // 2,) * 4) for each in maps)


@shared
def _congruency(image: Image, aligned: bool) -> tuple[Image, Image, Image, Image]:
    """Phase congruency, and the moments `xx`, `yy` and `xy` of its distribution over orientations."""
    filters = _filters(*image.shape[2:], image.device, aligned)
    spectrum = torch.fft.rfft2(image)
    quadrature = spectrum / 1j
    energies = amplitudes = along_x = along_y = mixed = 0.
    for angle, even_part, odd_part, noise_gain in zip(ANGLES, filters.even, filters.odd, filters.noise, strict=True):
        even, odd = ([torch.fft.irfft2(oriented * radial, image.shape[2:]) for radial in filters.radial]
                     for oriented in (spectrum * even_part, quadrature * odd_part))  # responses by scale
        amplitude = [(e.square() + o.square()).sqrt_() for e, o in zip(even, odd, strict=True)]
        total = sum(amplitude)
        energy = _energy(even, odd) - _noise(amplitude[0]) * noise_gain
        width = total / (reduce(torch.maximum, amplitude) + EPSILON) / len(WAVELENGTHS)  # of the frequencies present
        energy = energy.clamp_(min=0) * torch.sigmoid(10 * (width - 0.5))
        congruency = energy / total.clamp(min=EPSILON)
        x, y = congruency * math.cos(angle), congruency * math.sin(angle)
        energies, amplitudes = energies + energy, amplitudes + total
        along_x, along_y, mixed = along_x + x.square(), along_y + y.square(), mixed + x * y
    half = len(ANGLES) / 2
    return energies / (amplitudes + EPSILON), along_x / half, along_y / half, mixed / half


def _energy(even: list[Image], odd: list[Image]) -> Image:
    """Sum over the scales of the amplitude times (cos - |sin|) of the phase's deviation from the mean phase."""
    even_sum, odd_sum = sum(even), sum(odd)
    length = (even_sum.square() + odd_sum.square()).sqrt_()
    across = sum((e * odd_sum - o * even_sum).abs_() for e, o in zip(even, odd, strict=True))
    return (length.square() - across) / (length + EPSILON)


def _noise(amplitude: Image) -> Float[Tensor, 'batch 1 1 1']:
    """Standard deviation of the noise, from the response at the smallest scale, which is mostly noise."""
    amplitude = amplitude.flatten(1)
    lower = amplitude.median(1, keepdim=True).values
    above = amplitude > lower
    upper = torch.where(2 * above.sum(1, keepdim=True) == amplitude.shape[1],  # an even number has two middle ones
                        amplitude.masked_fill(~above, math.inf).amin(1, keepdim=True), lower)
    return ((lower.square() + upper.square()) / 2 / math.log(2)).sqrt()[:, :, None, None]


class Filters(NamedTuple):
    """Log-Gabor filters for the frequencies of `torch.fft.rfft2`, factored into scales and orientations.

    Attributes:
        radial: factor of each scale.
        even: factor of each orientation that gives the real part of the response.
        odd: factor of each orientation that gives the imaginary part of the response.
        noise: for each orientation, factor by which noise at the smallest scale raises the threshold.
    """

    radial: Float[Tensor, 'scale h w_half']
    even: Float[Tensor, 'orientation h w_half']
    odd: Float[Tensor, 'orientation h w_half']
    noise: tuple[float, ...]


@lru_cache(maxsize=4)  # 20 MB each for 480x640
def _filters(h: int, w: int, device: torch.device, aligned: bool) -> Filters:
    y, x = (torch.fft.fftfreq(size, dtype=torch.float64, device=device) for size in (h, w))
    low_pass = 1 / (1 + (torch.hypot(y[:, None], x) / 0.45) ** 30)  # without the corners of the spectrum
    if not aligned:
        low_pass = low_pass.roll((-(h % 2), -(w % 2)), (0, 1))
    y, x = y[:, None] * h / (h - h % 2), x * w / (w - w % 2)  # Kovesi's frequencies reach one half for odd sizes too
    radius, theta = torch.hypot(y, x), torch.atan2(-y, x)
    radius[0, 0] = 1
    radial = torch.stack([torch.exp(-((radius * wavelength).log() / math.log(BANDWIDTH)) ** 2 / 2)
                          for wavelength in WAVELENGTHS])
    radial[:, 0, 0] = 0
    deviation = torch.stack([torch.remainder(theta - angle + math.pi, 2 * math.pi) - math.pi for angle in ANGLES])
    angular = torch.exp(-(deviation / SPREAD) ** 2 / 2) * low_pass
    opposite = angular.flip(1, 2).roll((1, 1), (1, 2))
    even, odd = (angular + opposite) / 2, (angular - opposite) / 2
    noise = tuple(NOISE * ((radial.sum(0) * even_part).norm() / (radial[0] * whole).norm()).item()
                  for even_part, whole in zip(even, angular, strict=True))
    return Filters(*(part[..., :w // 2 + 1].contiguous() for part in (radial, even, odd)), noise)
