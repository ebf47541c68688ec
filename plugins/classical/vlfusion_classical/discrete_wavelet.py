"""Fusion in the discrete wavelet transform, which keeps the coefficient of larger magnitude.

Li, Manjunath and Mitra, "Multisensor image fusion using the wavelet transform", Graphical Models and Image Processing
57(3), 1995. This is the plain form: coefficients are compared one by one, without the window and the consistency check
of the paper.
"""

import numpy as np
import pywt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.models.stacks import Stack
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class DiscreteWavelet(nn.Module):
    """Discrete wavelet fusion: the detail coefficient of larger magnitude, and the mean of the approximations.

    The transform of PyWavelets is real and decimated, so shifting the images by a pixel changes the result. It runs on
    the CPU and passes no gradients.

    Args:
        wavelet: discrete wavelet, by its name in PyWavelets.
        levels: levels of the transform; small images get fewer.

    Raises:
        ConfigError: PyWavelets does not know the wavelet, or `levels` is less than 1.
    """

    sources = None

    def __init__(self, wavelet: str = 'db2', levels: int = 4):
        super().__init__()
        if wavelet not in pywt.wavelist(kind='discrete'):
            raise ConfigError(f'PyWavelets has no discrete wavelet {wavelet!r}.',
                              did_you_mean(wavelet, pywt.wavelist(kind='discrete')))
        if levels < 1:
            raise ConfigError(f'A transform of {levels} levels has no detail to choose from.', 'Set levels=1 or more.')
        self.wavelet, self.levels = wavelet, levels
        # A coefficient of the coarsest level depends on (taps - 1) (2^levels - 1) + 1 pixels and spreads over as many.
        # If a side is shorter than (taps - 1) 2^levels, there is one level fewer.
        self.multiple = 2 ** levels
        self.halo = (pywt.Wavelet(wavelet).dec_len - 1) * self.multiple

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse luminance in [0, 1]; text is not read. The result is clamped to [0, 1]."""
        return self.fuse_stack((source_a, source_b))

    def fuse_stack(self, sources: Stack) -> Float[Tensor, 'batch 1 h w']:
        """Fuse any number of sources: the strongest coefficient of all, and the mean of the approximations."""
        strongest, total = None, 0
        for source in sources:
            coarse, *details = self._transform(source)
            strongest = details if strongest is None else [
                tuple(np.where(np.abs(held) >= np.abs(new), held, new) for held, new in zip(*bands, strict=True))
                for bands in zip(strongest, details, strict=True)]
            total = total + coarse
        fused = pywt.waverec2([total / len(sources), *strongest], self.wavelet)
        height, width = source.shape[-2:]
        # At an odd size the inverse has one extra row or column.
        return torch.from_numpy(fused[..., :height, :width]).to(source).clamp(0, 1)

    def _transform(self, x: Tensor) -> list:
        """Return the approximation, then (horizontal, vertical, diagonal) details from coarse to fine."""
        levels = min(self.levels, pywt.dwtn_max_level(x.shape[-2:], self.wavelet))
        return pywt.wavedec2(x.detach().cpu().numpy(), self.wavelet, level=levels)
