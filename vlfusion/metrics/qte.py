"""Tsallis information: mutual information with Tsallis' entropy instead of Shannon's."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant
from vlfusion.metrics.histograms import entropy, histogram, joint_histogram, stretched

SWAPPED = 'the marginal distributions are swapped against the joint one, and images are stretched to 0..255 first'


@fusion_metric(title='Tsallis information', direction='higher', range=(0., math.inf), over='sum',
               source='Cvejic, Canagarajah and Bull, Electron. Lett. 42(11), 2006',
               variants={'liu': variant(SWAPPED, swapped=True, range=(-math.inf, math.inf)),
                         'mefb': 'liu',
                         'nava': variant(f'order 0.43137, and normalised (Nava et al., SPIE Newsroom, 2007); {SWAPPED}',
                                         q=0.43137, swapped=True, normalised=True, over='joint',
                                         range=(-math.inf, math.inf))})
def Qte(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
        source_b: Float[Tensor, 'batch 1 h w'], q: float = 1.85, swapped: bool = False,
        normalised: bool = False) -> Float[Tensor, ' batch']:
    """`Qte = I(A, F) + I(B, F)`, `I(X, Y) = (1 - sum_xy p_xy^q / (p_x p_y)^(q - 1)) / (1 - q)` of the histograms.

    Independent images score 0. For `q` close to 1 it is the mutual information in nat.

    Args:
        fused, source_a, source_b: grey levels in 0..255.
        q: order of the entropy, not 1.
        swapped: whether to pair each joint share with the product of the marginal shares of the swapped levels, as
            published code does. The values are then far larger, and change if grey levels are renamed.
        normalised: whether to divide by `H(A)^q + H(B)^q + I(A, B)`, with Shannon's entropy `H` in bit.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Qte((a + b) / 2, a, b).item(), 3)
    11.383
    """
    if swapped:
        fused, source_a, source_b = map(stretched, (fused, source_a, source_b))
    total = _information(source_a, fused, q, swapped) + _information(source_b, fused, q, swapped)
    if normalised:
        total = total / (entropy(source_a) ** q + entropy(source_b) ** q + _information(source_a, source_b, q, swapped))
    return total


def _information(first: Float[Tensor, 'batch 1 h w'], second: Float[Tensor, 'batch 1 h w'], q: float,
                 swapped: bool) -> Float[Tensor, ' batch']:
    joint = joint_histogram(first, second)
    rows, columns = (second, first) if swapped else (first, second)
    product = histogram(rows)[:, :, None] * histogram(columns)[:, None, :]
    terms = torch.where(product > 0, joint ** q / product ** (q - 1), 0)
    return (1 - terms.sum((1, 2))) / (1 - q)
