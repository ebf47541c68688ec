"""Fusion in the dual-tree complex wavelet transform, which keeps the coefficient of larger magnitude.

The transform: Kingsbury, "A dual-tree complex wavelet transform with improved orthogonality and symmetry properties",
ICIP 2000, as in the tutorial of Selesnick, Baraniuk and Kingsbury, IEEE Signal Processing Magazine 22(6), 2005.
The fusion: Hill, Canagarajah and Bull, "Image fusion using complex wavelets", BMVC 2002.
"""

from itertools import product

import numpy as np
import pywt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError
from vlfusion.models.stacks import Stack
from vlfusion.registry import BACKBONES

#: Low-pass analysis filters. The first level uses nearly symmetric filters (Abdelnour and Selesnick, ICASSP 2001), with
#: both trees one sample apart. Further levels use Kingsbury's Q-shift filters of ten taps, half a sample apart.
_FIRST = (0, -0.08838834764832, 0.08838834764832, 0.69587998903400, 0.69587998903400, 0.08838834764832,
          -0.08838834764832, 0.01122679215254, 0.01122679215254, 0)
_QSHIFT = (0.03516384, 0, -0.08832942, 0.23389032, 0.76027237, 0.58751830, 0, -0.11430184, 0, 0)


def _wavelet(low: tuple) -> pywt.Wavelet:
    """Orthogonal wavelet with the given low-pass analysis filter."""
    return pywt.Wavelet('dual-tree', filter_bank=pywt.orthogonal_filter_bank(low[::-1]))


FIRST = dict(a=_wavelet(_FIRST), b=_wavelet((*_FIRST[::-1][1:], 0)))
QSHIFT = dict(a=_wavelet(_QSHIFT), b=_wavelet(_QSHIFT[::-1]))
#: Trees that filter the rows and the columns, for each of the four real transforms.
TREES = tuple(product('ab', repeat=2))


@BACKBONES.register_module()
class DTCWT(nn.Module):
    """Complex wavelet fusion: the detail coefficient of larger magnitude, and the mean of the approximations.

    Each level has details in six orientations. Shifting the images changes the magnitude of a complex coefficient far
    less than that of a real one, so fewer edges ring than with `DiscreteWavelet`. PyWavelets computes the four real
    transforms on the CPU, without gradients.

    Args:
        levels: levels of the transform.

    Raises:
        ConfigError: `levels` is less than 1.
    """

    sources = None

    def __init__(self, levels: int = 4):
        super().__init__()
        if levels < 1:
            raise ConfigError(f'A transform of {levels} levels has no detail to choose from.', 'Give levels=1 or more.')
        self.levels = levels

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse luminance in [0, 1]; text is not read. The result is clamped to [0, 1]."""
        return self.fuse_stack((source_a, source_b))

    def fuse_stack(self, sources: Stack) -> Float[Tensor, 'batch 1 h w']:
        """Fuse any number of sources: the strongest coefficient of all, and the mean of the approximations."""
        strongest, total = None, 0
        for source in sources:
            coarse, details = self._analyse(source)
            strongest = details if strongest is None else [
                np.where(np.abs(held) >= np.abs(new), held, new) for held, new in zip(strongest, details, strict=True)]
            total = total + coarse
        fused = synthesise(total / len(sources), strongest)
        margin, (height, width) = 2 ** self.levels, source.shape[-2:]
        fused = fused[..., margin:margin + height, margin:margin + width]
        return torch.from_numpy(fused.copy()).to(source).clamp(0, 1)

    def _analyse(self, x: Tensor) -> tuple[np.ndarray, list[np.ndarray]]:
        """Transform images with a mirrored margin, which separates opposite borders and makes the sides divisible."""
        margin = 2 ** self.levels
        pads = [(0, 0), (0, 0), *((margin, margin + -size % margin) for size in x.shape[-2:])]
        return analyse(np.pad(x.detach().cpu().numpy(), pads, mode='reflect'), self.levels)


def analyse(x: Float[np.ndarray, '*batch h w'], levels: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Transform images whose sides are multiples of `2 ** levels`.

    Returns:
        The approximations of the four trees `(tree, *batch, h, w)`, and the complex details, finest level first:
        `(orientation, band, *batch, h, w)` with 2 orientations in each of 3 bands.
    """
    low, details = [x] * len(TREES), []
    for level in range(levels):
        bank = FIRST if level == 0 else QSHIFT
        trees = [pywt.dwt2(part, (bank[row], bank[column]), mode='periodization')
                 for part, (row, column) in zip(low, TREES, strict=True)]
        low = [approximation for approximation, _ in trees]
        aa, ab, ba, bb = (np.stack(bands) for _, bands in trees)
        details.append(np.stack(((aa - bb) + 1j * (ab + ba), (aa + bb) + 1j * (ab - ba))) / 2 ** 0.5)
    return np.stack(low), details


def synthesise(low: Float[np.ndarray, 'tree *batch _ _'], details: list[np.ndarray]) -> Float[np.ndarray, '*batch _ _']:
    """Invert the transform: the mean of the images that the four trees give."""
    low = list(low)
    for level in reversed(range(len(details))):
        bank = FIRST if level == 0 else QSHIFT
        first, second = details[level] / 2 ** 0.5
        trees = (first.real + second.real, first.imag + second.imag, first.imag - second.imag, second.real - first.real)
        low = [pywt.idwt2((part, tuple(bands)), (bank[row], bank[column]), mode='periodization')
               for part, bands, (row, column) in zip(low, trees, TREES, strict=True)]
    return sum(low) / len(TREES)
