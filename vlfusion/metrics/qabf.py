"""Edge preservation: how well the fused image keeps the strength and direction of the sources' edges."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric, variant
from vlfusion.metrics.gradients import edge_angle, edge_strength, sobel


@fusion_metric(title='Edge preservation Q^AB/F', direction='higher', range=(0., 1.), over='weighted', many=True,
               aliases=('Qg',),
               source='Xydeas and Petrovic, Electron. Lett. 36(4), 2000',
               variants={'film': variant("where an edge of a source and the fused edge are equally strong, their ratio "
                                         'is that strength instead of 1, which changes Qabf by 0.06 % at most',
                                         equal='strength'),
                         'cddfuse': 'film', 'vifb': 'film', 'mefb': 'film', 'tang': 'film',
                         'liu': variant('other constants, angles compared modulo pi, and a mean over all places. It '
                                        'depends very slightly on which source is A',
                                        many=False, form='liu')})
def Qabf(fused: Float[Tensor, 'batch 1 h w'], *sources: Float[Tensor, 'batch 1 h w'],
         equal: Literal['1', 'strength'] = '1', form: Literal['paper', 'liu'] = 'paper') -> Float[Tensor, ' batch']:
    """`Qabf = sum(Q_AF g_A + Q_BF g_B) / sum(g_A + g_B)`: preservation `Q`, weighted by the sources' edge strength `g`.

        Q = Qg Qa
        Qg = 0.9994 / (1 + exp(-15 (G - 0.5))),   G = min(g, g_F) / max(g, g_F)
        Qa = 0.9879 / (1 + exp(-22 (A - 0.8))),   A = 1 - |a - a_F| / (pi / 2)

    `g` and `a` are the strength and angle of Sobel gradients, with black around the images. As in the paper and nearly
    all code, the difference of the angles is not taken modulo pi. So the angles of two nearly vertical edges may differ
    by nearly pi. The result is NaN for two completely black sources, which have no edge to preserve. For more than two
    sources, both sums are over all of them.

    Args:
        fused, sources: grey levels in 0..255.
        equal: value of `G` where `g` equals `g_F`: 1, or the strength itself.
        form: form of the paper, or of Z. Liu's code.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Qabf((a + b) / 2, a, b).item(), 3)
    0.2
    """
    if form == 'liu':
        return _liu(fused, *sources)
    kept = present = 0.
    for source in sources:
        strength, strength_f = edge_strength(source), edge_strength(fused)
        ratio = torch.minimum(strength, strength_f) / torch.maximum(strength, strength_f)
        ratio = torch.where(strength == strength_f, strength_f if equal == 'strength' else 1., ratio)
        alignment = 1 - (edge_angle(source) - edge_angle(fused)).abs() / (math.pi / 2)
        preserved = 0.9994 * torch.sigmoid(15 * (ratio - 0.5)) * 0.9879 * torch.sigmoid(22 * (alignment - 0.8))
        kept = kept + (preserved * strength).sum((1, 2, 3))
        present = present + strength.sum((1, 2, 3))
    return kept / present


def _liu(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
         source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    tiny = 1e-5  # replaces a strength of zero in that code
    kept = present = 0.
    strength_f = edge_strength(fused)
    for source in (source_a, source_b):
        strength = edge_strength(source)
        weight, floor_f = (torch.where(value == 0, tiny, value) for value in (strength, strength_f))
        ratio = torch.where(strength > strength_f, strength_f / weight, weight / floor_f)
        alignment = ((_angle(source) - _angle(fused)).abs() - math.pi / 2).abs() * 2 / math.pi
        kept = kept + torch.sigmoid(10 * (ratio - 0.5)) * torch.sigmoid(20 * (alignment - 0.75)) * weight
        present = present + weight
        strength_f = floor_f  # for source B the replacement comes before the comparison
    return (kept / present).mean((1, 2, 3))


def _angle(image: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 1 h w']:
    x, y = sobel(image)
    return torch.atan(y / torch.where(x == 0, 1e-5, x))  # so that a vertical gradient has the sign of its y
