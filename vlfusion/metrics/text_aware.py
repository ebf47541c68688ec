"""Text-aware metrics: fidelity to the sources, and to a picture of what a text asks for, as far as the text is trusted.

TextFusion (Cheng et al., Information Fusion 117, 2025) defines them. Each reads two maps of the pair:

- `reference`: the text-guided image, in which what the text names comes from the source that shows it best
- `confidence`: an image whose mean, black 0 and white 1, is the confidence that the pair shows what the text names
"""

import math
from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from vlfusion.metrics.base import fusion_metric, variant
from vlfusion.metrics.qabf import Qabf
from vlfusion.metrics.ssim import SSIM
from vlfusion.metrics.vif import VIF
from vlfusion.metrics.wavelet_vif import wavelet_vif

Image = Float[Tensor, 'batch 1 h w']
MAPS = ('reference', 'confidence')
SOURCE = 'Cheng et al., Inf. Fusion 117, 2025'


@fusion_metric(name='Qabf+', title='Text-aware edge preservation', direction='higher', range=(0., 1.), over='weighted',
               maps=MAPS, source=SOURCE,
               variants={'textfusion': variant('with `Qabf:film`, whose ratio of equal strengths is that strength',
                                               form='film')})
def text_aware_qabf(fused: Image, source_a: Image, source_b: Image, reference: Image, confidence: Image,
                    form: Literal['', 'film'] = '') -> Float[Tensor, ' batch']:
    """`Qabf+ = (1 - c) Qabf(A, B, F) + c Q_TF`: edges of the sources, and of the text-guided image `T`.

    `Q_TF` is `Qabf` with `T` as both sources, and `c` the mean of the map `confidence`, 0 for black and 1 for white. If
    `c` is a single number of a pair, such as how well a network matches text and image, its map is a constant image:
    level `65535 c` in 16 bits.

    Args:
        fused, source_a, source_b, reference, confidence: grey levels in 0..255.
        form: variant of `Qabf`; empty for its default.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> [round(text_aware_qabf((a + b) / 2, a, b, a, torch.full_like(a, level)).item(), 3) for level in (0, 255)]
    [0.2, 0.171]
    """
    metric = Qabf.variants[form] if form else Qabf
    return _mixed(metric(fused, source_a, source_b), metric(fused, reference, reference), confidence)


@fusion_metric(name='SSIM+', title='Text-aware structural similarity', direction='higher', range=(-1., 1.), over='mean',
               maps=MAPS, smallest=11, source=SOURCE,
               variants={'textfusion': variant("MATLAB's `ssim`: images are extended by repetition, so that every "
                                               'pixel has a window', border='repeat')})
def text_aware_ssim(fused: Image, source_a: Image, source_b: Image, reference: Image, confidence: Image,
                    border: Literal['valid', 'repeat'] = 'valid') -> Float[Tensor, ' batch']:
    """`SSIM+ = (1 - c) (SSIM(A, F) + SSIM(B, F)) / 2 + c SSIM(T, F)`, with the text-guided image `T`.

    `c` is the mean of the map `confidence`.

    Args:
        fused, source_a, source_b, reference, confidence: grey levels in 0..255, at least 11x11.
        border: `valid` leaves out windows that reach beyond the image, `repeat` extends the image by repetition.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> [round(text_aware_ssim((a + b) / 2, a, b, a, torch.full_like(a, level)).item(), 3) for level in (0, 255)]
    [0.635, 0.635]
    """
    images = fused, source_a, source_b, reference
    if border == 'repeat':
        images = (pad(image, (5, 5, 5, 5), mode='replicate') for image in images)
    fused, source_a, source_b, reference = images
    return _mixed(SSIM(fused, source_a, source_b), SSIM(fused, reference, reference), confidence)


@fusion_metric(name='VIF+', title='Text-aware visual information fidelity', direction='higher', range=(0., math.inf),
               over='mean', maps=MAPS, smallest=41, source=SOURCE,
               variants={'textfusion': variant('VIF in the wavelet domain, of images in 0..1 under a noise of variance '
                                               '0.4, which is meant for 0..255', form='wavelet', smallest=65)})
def text_aware_vif(fused: Image, source_a: Image, source_b: Image, reference: Image, confidence: Image,
                   form: Literal['pixel', 'wavelet'] = 'pixel') -> Float[Tensor, ' batch']:
    """`VIF+ = (1 - c) (VIFp(A, F) + VIFp(B, F)) / 2 + c VIFp(T, F)`, with the text-guided image `T`.

    `c` is the mean of the map `confidence`. `VIFp` is the measure in the pixel domain that `VIF` sums.

    Args:
        fused, source_a, source_b, reference, confidence: grey levels in 0..255, at least 41x41; 65x65 for `wavelet`.
        form: domain of the measure: `pixel`, or `wavelet`, the subbands of a steerable pyramid.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> [round(text_aware_vif((a + b) / 2, a, b, a, torch.full_like(a, level)).item(), 3) for level in (0, 255)]
    [0.103, 0.103]
    """
    if form == 'wavelet':
        fused = fused / 255
        of_a, of_b, guided = (wavelet_vif(image / 255, fused, noise=0.4) for image in (source_a, source_b, reference))
        return _mixed((of_a + of_b) / 2, guided, confidence)
    return _mixed(VIF(fused, source_a, source_b), VIF(fused, reference, reference), confidence) / 2


def _mixed(plain: Float[Tensor, ' batch'], guided: Float[Tensor, ' batch'],
           confidence: Image) -> Float[Tensor, ' batch']:
    share = confidence.mean((1, 2, 3)) / 255
    return (1 - share) * plain + share * guided
