"""Visual information fidelity in the wavelet domain (Sheikh and Bovik, IEEE Trans. Image Process. 15(2), 2006).

This is the measure of the paper itself, on the subbands of a steerable pyramid; `VIF` is its form in the pixel domain.
It takes the two orientations 0 and 90 degrees of four levels, blocks of 3x3 coefficients, and windows that shrink with
the level, as its authors' published code does.
"""

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad, unfold

from vlfusion.metrics.sharing import shared

Image = Float[Tensor, 'batch 1 h w']
Band = Float[Tensor, 'batch 1 rows columns']
Blocks = Float[Tensor, 'batch 1 block_rows block_columns']  # one value for each block of a band

LEVELS, BLOCK = 4, 3
TINY = 1e-15  # a smaller variance counts as zero
#: Filters of the pyramid (Karasaridis and Simoncelli, ICASSP 1996, with five harmonics), by their upper left quarter:
#: the first low-pass filter, that of each level, and the derivative across rows, whose lower half has the other sign.
FIRST = ((0.00341614, -0.01551246, -0.03848215), (-0.01551246, 0.05586982, 0.15925570),
         (-0.03848215, 0.15925570, 0.40304148))
LOW = ((0.00085404, -0.00244917, -0.00387812, -0.00944432, -0.00962054),
       (-0.00244917, -0.00523281, -0.00661117, 0.00410600, 0.01002988),
       (-0.00387812, -0.00661117, 0.01396746, 0.03277038, 0.03981393),
       (-0.00944432, 0.00410600, 0.03277038, 0.06426333, 0.08169618),
       (-0.00962054, 0.01002988, 0.03981393, 0.08169618, 0.10096540))
DERIVATIVE = ((0.00277643, 0.00496194, 0.01026699, 0.01455399), (-0.00986904, -0.00893064, 0.01189859, 0.02755155),
              (-0.01021852, -0.03075356, -0.08226445, -0.11732297), (0., 0., 0., 0.))


def wavelet_vif(source: Image, fused: Image, noise: float) -> Float[Tensor, ' batch']:
    """Compute the information about a source that the fused image keeps, as a share of the information in the source.

    A source without any variance counts as 1.

    Args:
        source, fused: images of at least 65x65 pixels.
        noise: variance of the visual noise.
    """
    kept = present = 0.
    for level in range(LEVELS):
        width = 2 ** (LEVELS - level) + 1
        border = -(-(width // 2) // BLOCK)  # blocks whose windows reach beyond the subband
        inner = (..., slice(border, -border), slice(border, -border))
        for band, other in zip(_bands(source, level), _bands(fused, level), strict=True):
            gain, error = _channel(band, other, width)
            spread, eigenvalues = _mixture(band)
            signal = spread[inner] * eigenvalues[..., None, None]  # (batch, 9, rows, columns)
            kept = kept + (1 + gain[inner].square() * signal / (error[inner] + noise)).log2().sum((1, 2, 3))
            present = present + (1 + signal / noise).log2().sum((1, 2, 3))
    return torch.where(present > 0, kept / present, 1.)


def _bands(image: Image, level: int) -> list[Band]:
    """Return the two subbands of a level, cut to whole blocks."""
    low = _low(image, level)
    derivative = _whole(DERIVATIVE, low, -1)
    bands = [_correlate(low, kernel) for kernel in (derivative, derivative.mT)]
    return [band[..., :band.shape[-2] // BLOCK * BLOCK, :band.shape[-1] // BLOCK * BLOCK] for band in bands]


@shared
def _low(image: Image, level: int) -> Band:
    """Return the low-pass image that a level starts with."""
    if level == 0:
        return _correlate(image, _whole(FIRST, image))
    return _correlate(_low(image, level - 1), 2 * _whole(LOW, image))[..., ::2, ::2]


def _channel(band: Band, other: Band, width: int) -> tuple[Blocks, Blocks]:
    """Fit `other = gain band + error` in a window around each block; return the gain and the variance of the error."""
    def local_sum(x: Band) -> Blocks:
        return _correlate(x, x.new_ones(width, width))[..., 1::BLOCK, 1::BLOCK]
    pixels = width ** 2
    mean, mean_other = local_sum(band) / pixels, local_sum(other) / pixels
    covariance = local_sum(band * other) - pixels * mean * mean_other
    energy = (local_sum(band.square()) - pixels * mean.square()).clamp(min=0)
    energy_other = (local_sum(other.square()) - pixels * mean_other.square()).clamp(min=0)
    gain = covariance / (energy + TINY)
    error = (energy_other - gain * covariance) / pixels
    # The published code takes the sum of squares and not their mean where there is no gain.
    flat, flat_other, negative = energy < TINY, energy_other < TINY, gain < 0
    error = torch.where(flat, energy_other, error).masked_fill(flat_other, 0)
    error = torch.where(negative & ~flat & ~flat_other, energy_other, error)
    return gain.masked_fill(flat | flat_other | negative, 0), error.clamp(min=TINY)


def _mixture(band: Band) -> tuple[Blocks, Float[Tensor, 'batch 9']]:
    """Model blocks as `s u`, `u` Gaussian; return `s^2` of each block, and the eigenvalues of the covariance of `u`."""
    blocks = unfold(band, BLOCK)  # (batch, 9, all blocks, also overlapping ones)
    blocks = blocks - blocks.mean(2, keepdim=True)
    covariance = blocks @ blocks.mT / blocks.shape[2]
    apart = unfold(band, BLOCK, stride=BLOCK)
    spread = (torch.linalg.pinv(covariance, hermitian=True) @ apart * apart).mean(1, keepdim=True)
    rows, columns = (length // BLOCK for length in band.shape[-2:])
    return spread.unflatten(2, (rows, columns)), torch.linalg.eigvalsh(covariance).clamp(min=0)


def _correlate(image: Band, kernel: Float[Tensor, 'side side']) -> Band:
    """Correlate with a kernel, with the image reflected at its border."""
    reach = kernel.shape[0] // 2
    return conv2d(pad(image, (reach,) * 4, mode='reflect'), kernel[None, None])


def _whole(quarter: tuple[tuple[float, ...], ...], like: Tensor, sign: int = 1) -> Float[Tensor, 'side side']:
    """Mirror the upper left quarter of a filter; `sign` multiplies the lower half."""
    return _filter(quarter, sign, like.dtype, like.device)


@cache
def _filter(quarter: tuple[tuple[float, ...], ...], sign: int, dtype: torch.dtype,
            device: torch.device) -> Float[Tensor, 'side side']:
    upper = torch.tensor(quarter, dtype=dtype, device=device)
    upper = torch.cat((upper, upper[:, :-1].flip(1)), 1)
    return torch.cat((upper, sign * upper[:-1].flip(0)))
