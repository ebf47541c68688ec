"""Multi-scale edge preservation: how close the fused image's wavelet coefficients are to those of the sources."""

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant
from vlfusion.metrics.sharing import shared

Image = Float[Tensor, 'batch 1 h w']
Bands = Float[Tensor, 'batch 3 h_half w_half']
EXPONENTS = (2 / 3, 1 / 3)  # exponents of the scales, the finest first


@fusion_metric(title='Multi-scale edge preservation', direction='higher', range=(0., 1.), over='weighted', smallest=4,
               source='Wang and Liu, ICSP 2008',
               variants={'liu': variant('the sum over the three bands: three times the default', total=True,
                                        range=(0., 3.))})
def Qm(fused: Image, source_a: Image, source_b: Image, total: bool = False) -> Float[Tensor, ' batch']:
    """`Qm = Q_1^(2/3) Q_2^(1/3)` over two scales of the Haar transform:

        Q_s = sum(E_AF w_A + E_BF w_B) / sum(w_A + w_B)
        E_XF = (exp(-|H_X - H_F|) + exp(-|V_X - V_F|) + exp(-|D_X - D_F|)) / 3
        w_X = H_X^2 + V_X^2 + D_X^2

    `H`, `V` and `D` are the orthonormal coefficients of horizontal, vertical and diagonal details, in grey levels. An
    odd last row or column is left out. At a scale where the sources have no details, all places have the same weight.

    A difference of a few grey levels counts as a complete loss, so values are small for real images.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 4x4.
        total: whether to take the sum over the three bands instead of their mean.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Qm((a + b) / 2, a, b).item(), 3)
    0.026
    """
    quality = 1.
    for scale, exponent in enumerate(EXPONENTS):
        of_fused, of_sources = _details(fused, scale), [_details(source, scale) for source in (source_a, source_b)]
        preserved = torch.stack([(-(details - of_fused).abs()).exp().mean(1) for details in of_sources], 1)
        weight = torch.stack([details.square().sum(1) for details in of_sources], 1)
        weight = torch.where(weight.amax((1, 2, 3), keepdim=True) > 0, weight, 1)
        quality = quality * ((preserved * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))) ** exponent
    return 3 * quality if total else quality


def _details(image: Image, scale: int) -> Bands:
    return _haar(image, scale)[:, 1:]


@shared
def _haar(image: Image, scale: int) -> Float[Tensor, 'batch 4 h_half w_half']:
    """Approximation and details of a scale, 0 being the finest, from blocks of 2x2."""
    if scale:
        image = _haar(image, scale - 1)[:, :1]
    h, w = (size // 2 * 2 for size in image.shape[2:])
    upper_left, upper_right = image[..., :h:2, :w:2], image[..., :h:2, 1:w:2]
    lower_left, lower_right = image[..., 1:h:2, :w:2], image[..., 1:h:2, 1:w:2]
    upper, lower = upper_left + upper_right, lower_left + lower_right
    upper_step, lower_step = upper_right - upper_left, lower_right - lower_left
    return torch.cat([upper + lower, lower - upper, upper_step + lower_step, lower_step - upper_step], 1) / 2
