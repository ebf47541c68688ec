"""Extended spatial frequency error: activity of the fused image against the more active source at each place."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant

Image = Float[Tensor, 'batch 1 h w']
DIAGONAL = 1 / math.sqrt(2)  # weight of diagonal differences, because their pixels are farther apart


@fusion_metric(title='Spatial frequency error', direction='lower', range=(0., math.inf), over='joint', smallest=2,
               source='Zheng, Essock, Hansen and Haun, Inf. Fusion 8(2), 2007',
               variants={'liu': variant('with its sign: negative for lost activity, which is usual, and positive for '
                                        'added noise; values closer to zero are better on both sides',
                                        signed=True, direction='higher', range=(-1., math.inf))})
def Qsf(fused: Image, source_a: Image, source_b: Image, signed: bool = False) -> Float[Tensor, ' batch']:
    """`Qsf = |SF_F - SF_R| / SF_R`: the relative error of the extended spatial frequency.

    `SF` is the root of the mean squared differences of neighbours in four directions: along rows and columns with the
    weight 1, along both diagonals with `1 / sqrt(2)`. `SF_F` is that of the fused image. `SF_R` is that of both sources
    together, from the larger of their absolute differences at each place.

    The paper's error has a sign: a negative value means lost activity, a positive value noise or artefacts, and zero is
    ideal. So neither high nor low values are good, and the default is the absolute value. It is infinite if both
    sources are flat and the fused image is not, and zero if all three are flat.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 2x2.
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
    """Differences of neighbours along rows, columns and both diagonals."""
    return (image[..., 1:] - image[..., :-1], image[..., 1:, :] - image[..., :-1, :],
            image[..., 1:, 1:] - image[..., :-1, :-1], image[..., 1:, :-1] - image[..., :-1, 1:])


def _frequency(row: Tensor, column: Tensor, diagonal: Tensor, other_diagonal: Tensor) -> Float[Tensor, ' batch']:
    return (row + column + DIAGONAL * (diagonal + other_diagonal)).sqrt()  # the number of pixels cancels in the ratio
