"""Extended spatial frequency error: whether the fused image is as active as the more active source at each place."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant

Image = Float[Tensor, 'batch 1 h w']
DIAGONAL = 1 / math.sqrt(2)  # weight of the diagonal differences, whose pixels are farther apart


@fusion_metric(title='Spatial frequency error', direction='lower', range=(0., math.inf), over='joint', smallest=2,
               source='Zheng, Essock, Hansen and Haun, Inf. Fusion 8(2), 2007',
               variants={'liu': variant('with its sign: negative for lost activity, which is the usual case, and '
                                        'positive for added noise; nearer to zero is better on either side',
                                        signed=True, direction='higher', range=(-1., math.inf))})
def Qsf(fused: Image, source_a: Image, source_b: Image, signed: bool = False) -> Float[Tensor, ' batch']:
    """`Qsf = |SF_F - SF_R| / SF_R`: by how much the extended spatial frequency misses that of the sources together.

    `SF` is the root of the mean squared differences of neighbours in four directions: along rows and columns with the
    weight 1, along both diagonals with `1 / sqrt(2)`. `SF_F` is of the fused image; for `SF_R`, the larger of both
    sources' absolute differences is taken at each place.

    The paper's error has a sign: below zero the fused image lacks activity, above it has noise or artefacts, and zero
    is ideal. Then neither high nor low values are good, so the default is its size. It is infinite where both sources
    are flat and the fused image is not, and zero where all are.

    Args:
        fused: grey levels in 0..255, at least 2x2.
        source_a: likewise.
        source_b: likewise.
        signed: whether to keep the sign.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Qsf((a + b) / 2, a, b).item(), 3)
    0.471
    """
    of_fused, of_sources = [], []
    for difference_f, *differences in zip(*map(_differences, (fused, source_a, source_b)), strict=True):
        of_fused.append(difference_f.square().sum((1, 2, 3)))
        of_sources.append(torch.maximum(*(difference.abs() for difference in differences)).square().sum((1, 2, 3)))
    frequency, reference = _frequency(*of_fused), _frequency(*of_sources)
    error = torch.where(frequency == reference, 0, (frequency - reference) / reference)
    return error if signed else error.abs()


def _differences(image: Image) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Differences of each pixel and its neighbour to the right, below, and along both diagonals."""
    return (image[..., 1:] - image[..., :-1], image[..., 1:, :] - image[..., :-1, :],
            image[..., 1:, 1:] - image[..., :-1, :-1], image[..., 1:, :-1] - image[..., :-1, 1:])


def _frequency(row: Tensor, column: Tensor, diagonal: Tensor, other_diagonal: Tensor) -> Float[Tensor, ' batch']:
    return (row + column + DIAGONAL * (diagonal + other_diagonal)).sqrt()  # the number of pixels cancels in the ratio
