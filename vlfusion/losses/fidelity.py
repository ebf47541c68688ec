"""Terms that compare the fused image with each source: structural similarity, squared error, the Lp distance."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, mse_loss, pad

from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.imaging.blur import Window, gaussian
from vlfusion.metrics import ssim
from vlfusion.metrics.ms_ssim import WEIGHTS
from vlfusion.registry import LOSSES


def ssim_map(x: Float[Tensor, 'batch 1 h w'], y: Float[Tensor, 'batch 1 h w'], window: int = 11, sigma: float = 1.5,
             border: Literal['none', 'reflect', 'zeros'] = 'none',
             data_range: float | Float[Tensor, ''] = 1.) -> Float[Tensor, 'batch 1 h_map w_map']:
    """Compute SSIM (Wang et al., IEEE TIP 2004) at each pixel, for images in [0, 1].

    Args:
        x, y: images to compare.
        window: side of the Gaussian window in pixels.
        sigma: standard deviation of the Gaussian in pixels.
        border: `none` covers only the pixels around which the window fits. The others cover every pixel: `reflect`
            reflects the image at its border, as kornia does, and `zeros` puts black there, both for a window of odd
            side.
        data_range: range of values, which scales the two constants of SSIM.

    Raises:
        DataError: an image is smaller than the window, or too small to be reflected under half of it.
        ConfigError: `border` is unknown.
    """
    if border not in ('none', 'reflect', 'zeros'):
        raise ConfigError(f'SSIM has no border {border!r}.', did_you_mean(border, ('none', 'reflect', 'zeros')))
    smallest = {'none': window, 'reflect': window // 2 + 1, 'zeros': 1}[border]
    if min(x.shape[-2:]) < smallest:
        raise DataError(f'SSIM needs images of at least {smallest}x{smallest}, but got {tuple(x.shape[-2:])}.',
                        'Use larger crops or a smaller window.')
    if border == 'none':
        return ssim.ssim_map(x, y, _single_gaussian(window, sigma), data_range)
    mode = 'reflect' if border == 'reflect' else 'constant'
    x, y = (pad(image, (window // 2,) * 4, mode=mode) for image in (x, y))
    return ssim.ssim_map(x, y, gaussian(window, sigma), data_range)


def dissimilarity(x: Float[Tensor, 'batch 1 h w'], y: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
    """Compute DSSIM, the mean of `(1 - SSIM) / 2` clamped to [0, 1] at each pixel, for images in [0, 1].

    SSIM has a Gaussian window of 11 pixels and sigma 1.5. Factor, clamp and reflected border are those of kornia's
    `ssim_loss`.

    Raises:
        DataError: an image is too small to be reflected under half a window.
    """
    return ((1 - ssim_map(x, y, border='reflect')) / 2).clamp(0, 1).mean()


@cache
def _single_gaussian(window: int, sigma: float) -> Window:
    """The Gaussian window of pytorch-ssim, normalised in single precision as there.

    If the width is even, its peak is right of the middle, as there.

    Most released code copies pytorch-ssim. The sum misses 1 by 3e-8, which moves SSIM by 1e-7: visible when results are
    compared in double precision.
    """
    offsets = torch.arange(window) - window // 2
    gauss = torch.exp(-offsets**2 / (2 * sigma**2))
    return tuple((gauss / gauss.sum()).tolist())


def multi_scale_similarity(x: Float[Tensor, 'batch 1 h w'], y: Float[Tensor, 'batch 1 h w'],
                           data_range: Callable[[Tensor], float] = lambda x: 1.) -> Float[Tensor, '']:
    """Compute `prod_{i<5} c_i^w_i * (s_5^w_5)^4`, with `c = (1 + mean CS) / 2` and `s = (1 + mean SSIM) / 2` per scale.

    This is the MS-SSIM of pytorch-msssim, with which DenseFuse, GIFNet and MUFusion are trained. Equal images give 1.
    It differs in four ways from the measure of Wang, Simoncelli and Bovik (Asilomar 2003). All four are kept:

    - The last scale enters four times, by an oversight.
    - Values are shifted into [0, 1], so that no negative number is raised to a power.
    - Means are taken over the batch before the powers.
    - The 11x11 window shrinks to the image if that is smaller.

    Args:
        x, y: images of at least 16x16 pixels.
        data_range: returns the range of values, given `x` at one scale. In the released code it is 2 while an output
            lies below -0.5, which happens early in training.

    Raises:
        DataError: the images are too small for five scales.
    """
    if min(x.shape[-2:]) < 16:
        raise DataError(f'Similarity at five scales needs at least 16x16 pixels, but got {tuple(x.shape[-2:])}.',
                        'Use larger crops.')
    result = 1.
    for scale, weight in enumerate(WEIGHTS, 1):
        window = _peaked_gaussian(min(11, *x.shape[-2:]))
        if scale < len(WEIGHTS):
            similarity = ssim.contrast_structure(x, y, window, data_range(x)).mean()
            result = result * ((1 + similarity) / 2) ** weight
            x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
        else:
            similarity = ssim.ssim_map(x, y, window, data_range(x)).mean()
            result = result * ((1 + similarity) / 2) ** (4 * weight)
    return result


@cache
def _peaked_gaussian(width: int, sigma: float = 1.5) -> Window:
    """A Gaussian of sum 1. If the width is even, its peak is right of the middle, as in the released code."""
    weights = [math.exp(-(i - width // 2) ** 2 / (2 * sigma**2)) for i in range(width)]
    return tuple(weight / sum(weights) for weight in weights)


@LOSSES.register_module()
class SSIMLoss(nn.Module):
    """`(1 - SSIM(F, A)) + (1 - SSIM(F, B))`, with SSIM after Wang et al. (IEEE TIP 2004) on images in [0, 1].

    Args:
        weight: factor in the total.
        window: side of the Gaussian window in pixels; the released FILM uses 5.
        sigma: standard deviation of the Gaussian in pixels.

    Raises:
        DataError: an image is smaller than the window.
    """

    def __init__(self, weight: float = 1.0, window: int = 5, sigma: float = 1.5):
        super().__init__()
        self.weight = weight
        self.window, self.sigma = window, sigma

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        return sum(1 - ssim_map(fused, source, self.window, self.sigma).mean() for source in (source_a, source_b))


@LOSSES.register_module()
class DSSIMLoss(nn.Module):
    """`shares[0] DSSIM(F, A) + shares[1] DSSIM(F, B)`, see `dissimilarity`.

    Args:
        weight: factor in the total.
        shares: factors of the two sources.

    Raises:
        DataError: an image is too small to be reflected under half a window.
    """

    def __init__(self, weight: float = 1.0, shares: Sequence[float] = (1.0, 1.0)):
        super().__init__()
        self.weight, self.shares = weight, shares

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        return self.shares[0] * dissimilarity(fused, source_a) + self.shares[1] * dissimilarity(fused, source_b)


@LOSSES.register_module()
class SquaredErrorLoss(nn.Module):
    """`shares[0] mean (F - A)^2 + shares[1] mean (F - B)^2`.

    Args:
        weight: factor in the total.
        shares: factors of the two sources.
    """

    def __init__(self, weight: float = 1.0, shares: Sequence[float] = (1.0, 1.0)):
        super().__init__()
        self.weight, self.shares = weight, shares

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        return self.shares[0] * mse_loss(fused, source_a) + self.shares[1] * mse_loss(fused, source_b)


@LOSSES.register_module()
class LpLoss(nn.Module):
    """`||F - A||_p + ||F - B||_p`, with the norm over all pixels of the batch, as in the released FILM (p = 2).

    Args:
        weight: factor in the total.
        p: order of the norm.
    """

    def __init__(self, weight: float = 1.0, p: float = 2.0):
        super().__init__()
        self.weight = weight
        self.p = p

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        return sum(torch.linalg.vector_norm(fused - source, self.p) for source in (source_a, source_b))
