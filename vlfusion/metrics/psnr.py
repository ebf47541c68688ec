"""Peak signal-to-noise ratio: the mean squared error on a logarithmic scale."""

import math
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, truth_metric, variant
from vlfusion.metrics.mse import MSE
from vlfusion.metrics.rmse import RMSE


@fusion_metric(title='Peak signal-to-noise ratio', direction='higher', unit='dB', range=(0., math.inf), over='mean',
               source='10 log10(255^2 / MSE)',
               variants={'film': variant("the fused image's own brightest level is the peak", brightest=True,
                                         range=(-math.inf, math.inf)),
                         'cddfuse': 'film',
                         'tang': variant('48.13 dB more: the peak is 255, but the error is that of images in [0, 1]',
                                         levels=255),
                         'vifb': variant("the error is VIFB's RMSE instead of the squared error", error='vifb'),
                         'mefb': 'vifb'})
def PSNR(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
         source_b: Float[Tensor, 'batch 1 h w'], brightest: bool = False, levels: float = 1.,
         error: Literal['mse', 'vifb'] = 'mse') -> Float[Tensor, ' batch']:
    """`PSNR = 10 log10(255^2 / MSE)`, with the mean of the errors against both sources.

    Neither source is the truth, so no image scores better than their plain average. It is infinite for three equal
    images.

    Args:
        fused, source_a, source_b: grey levels in 0..255.
        brightest: whether the fused image's brightest level is the peak instead of 255.
        levels: divisor of the images, but not of the peak.
        error: `mse`, the mean squared error; or `vifb`, the error that VIFB uses instead.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(PSNR((a + b) / 2, a, b).item(), 3)
    13.831
    """
    squared = MSE(fused, source_a, source_b) if error == 'mse' else RMSE.variants['vifb'](fused, source_a, source_b)
    peak = fused.amax((1, 2, 3)) if brightest else 255
    return 10 * ((peak * levels) ** 2 / squared).log10()


@truth_metric(name='PSNR', title='Peak signal-to-noise ratio', direction='higher', unit='dB', range=(0., math.inf),
              source='10 log10(255^2 / MSE)')
def psnr_to_truth(fused: Float[Tensor, 'batch 1 h w'], truth: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    """`PSNR = 10 log10(255^2 / mean((T - F)^2))`; infinite for a fused image that equals the truth.

    Args:
        fused, truth: grey levels in 0..255.

    >>> import torch
    >>> truth = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> round(psnr_to_truth(truth.maximum(truth.flip(3)), truth).item(), 3)
    10.821
    """
    return 10 * (255 ** 2 / (truth - fused).square().mean((1, 2, 3))).log10()
