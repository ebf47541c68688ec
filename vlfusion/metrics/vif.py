"""Visual information fidelity in the pixel domain: how much of the sources' information the fused image keeps."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric

WINDOWS = (17, 9, 5, 3)  # width of the Gaussian at each scale; its standard deviation is a fifth of that
NOISE = 2.0  # variance of the visual noise, in squared grey levels
EPSILON = 1e-10  # a variance below this is none


@fusion_metric(title='Visual information fidelity', direction='higher', range=(0., math.inf), smallest=41,
               source='Sheikh and Bovik, IEEE Trans. Image Process. 15(2), 2006')
def VIF(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
        source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch']:
    """`VIF = VIFp(A, F) + VIFp(B, F)`: the sum over the sources, 2 for a fused image that equals both.

    In each window the fused image is modelled as `F = g S + noise`; the gain `g` and the variance of the noise come
    from the local moments of the source `S` and of `F`. With `v` the variance of the visual noise,

        VIFp(S, F) = sum log10(1 + g^2 var(S) / (var(noise) + v)) / sum log10(1 + var(S) / v)

    over all windows of four scales. A source without any variance counts as 1.

    This is what the evaluator of FILM and CDDFuse calls VIFF and their papers VIF. The VIFF of Han et al. (Inf. Fusion
    14(2), 2013) is another measure.

    Variances are differences of nearly equal numbers, for which float32 is too coarse (the result is off by a hundredth
    where much of an image is bright and flat), so the work is done in float64 and the result has the type of the input.

    Args:
        fused: grey levels in 0..255, at least 41x41, below which the fourth scale has no complete window.
        source_a: likewise.
        source_b: likewise.
    """
    images = torch.cat([source_a, source_b, fused], 1).double()  # (batch, 3, h, w)
    kept = present = 0.0
    for width in WINDOWS:
        window = _gaussian(width)
        if width < WINDOWS[0]:
            images = _filter(images, window)[..., ::2, ::2]
        kept_here, present_here = _information(images, window)
        kept, present = kept + kept_here, present + present_here
    fidelity = torch.where(present > 0, kept / present, 1.0)  # (batch, 2), one for each source
    return fidelity.sum(1).to(fused.dtype)


def _information(images: Float[Tensor, 'batch 3 h w'],
                 window: list[float]) -> tuple[Float[Tensor, 'batch 2'], Float[Tensor, 'batch 2']]:
    """The information about each source that the fused image keeps at one scale, and that there is in the source."""
    source, fused = images[:, :2], images[:, 2:]
    mean, square, product = _filter(torch.cat([images, images.square(), source * fused], 1), window).split([3, 3, 2], 1)
    variance = (square - mean.square()).clamp(min=0)
    variance_s, variance_f = variance[:, :2], variance[:, 2:].expand(-1, 2, -1, -1)
    covariance = product - mean[:, :2] * mean[:, 2:]

    flat = (variance_s < EPSILON) | (variance_f < EPSILON)
    gain = (covariance / (variance_s + EPSILON)).clamp(min=0).masked_fill(flat, 0)
    noise = (variance_f - gain * covariance).clamp(min=EPSILON)
    variance_s = variance_s.masked_fill(variance_s < EPSILON, 0)

    kept = torch.log10(1 + gain.square() * variance_s / (noise + NOISE))
    present = torch.log10(1 + variance_s / NOISE)
    return kept.sum((2, 3)), present.sum((2, 3))


def _gaussian(width: int) -> list[float]:
    weights = [math.exp(-0.5 * (5 * (i - (width - 1) / 2) / width) ** 2) for i in range(width)]
    return [weight / sum(weights) for weight in weights]


def _filter(images: Float[Tensor, 'batch c h w'], window: list[float]) -> Float[Tensor, 'batch c h_valid w_valid']:
    """Filter along both axes where the window fits. Shifted sums: in float64 several times as fast as conv2d."""
    for axis in (2, 3):
        size = images.shape[axis] - len(window) + 1
        total = window[0] * images.narrow(axis, 0, size)
        for shift, weight in enumerate(window[1:], 1):
            total.add_(images.narrow(axis, shift, size), alpha=weight)
        images = total
    return images
