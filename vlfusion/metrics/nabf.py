"""Fusion artefacts and fusion loss: edges of the fused image alone, and edges of the sources that it lacks."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.gradients import sobel
from vlfusion.metrics.sharing import shared

Image = Float[Tensor, 'batch 1 h w']
STRONG = 2.  # grey levels per pixel; weaker edges get WEIGHT_OF_NONE
WEIGHT_OF_NONE = 0.001
SOURCE = 'Petrovic and Xydeas, ICCV 2005; constants of Shreyamsha Kumar, Signal Image Video Process. 9, 2015'


@fusion_metric(title='Fusion artefacts N^AB/F', direction='lower', range=(0., 1.), over='weighted', smallest=2,
               source=SOURCE,
               agrees=('tang',))
def Nabf(fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, ' batch']:
    """`Nabf = sum(n ((1 - Q_AF) w_A + (1 - Q_BF) w_B)) / sum(w_A + w_B)`

    with `n` = 1 where the fused edge is the strongest, and 0 elsewhere:

        Q = sqrt(Qg Qa)
        Qg = 0.9999 / (1 + exp(-19 (G - 0.5))),   G = min(g, g_F) / max(g, g_F), and 0 where either is 0
        Qa = 0.9995 / (1 + exp(-22 (A - 0.5))),   A = ||a - a_F| - pi / 2| / (pi / 2)
        w  = g^1.5 where g is at least 2, else 0.001

    `g` and `a` are the strength and angle of Sobel gradients divided by 8. Images are mirrored at the borders.

    Tang's scripts pass the three images in the wrong order, which gives another number (0.0068 instead of 0.0640 on one
    pair); that number is not offered.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 2x2.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Nabf((a + b) / 2, a, b).item(), 3)
    0.0
    """
    return _lost(fused, source_a, source_b, where_fused_is_strongest=True)


@fusion_metric(title='Fusion loss L^AB/F', direction='lower', range=(0., 1.), over='weighted', smallest=2,
               source=SOURCE)
def Labf(fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, ' batch']:
    """`Labf = sum(r ((1 - Q_AF) w_A + (1 - Q_BF) w_B)) / sum(w_A + w_B)`, with `r = 1 - n`.

    The rest is as in `Nabf`. `Nabf` and `Labf` add up to all that is not preserved.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 2x2.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Labf((a + b) / 2, a, b).item(), 3)
    0.373
    """
    return _lost(fused, source_a, source_b, where_fused_is_strongest=False)


def _lost(fused: Image, source_a: Image, source_b: Image, where_fused_is_strongest: bool) -> Float[Tensor, ' batch']:
    """Share of the sources' edges that is not preserved, where the fused edge is the strongest or elsewhere."""
    strength_f = _edges(fused)[0]
    strongest = (strength_f > _edges(source_a)[0]) & (strength_f > _edges(source_b)[0])
    lost = weights = 0.
    for source in (source_a, source_b):
        preserved, weight = _preserved(source, fused)
        lost = lost + ((1 - preserved) * weight).masked_fill(strongest != where_fused_is_strongest, 0).sum((1, 2, 3))
        weights = weights + weight.sum((1, 2, 3))
    return lost / weights


@shared
def _preserved(source: Image, fused: Image) -> tuple[Image, Image]:
    """Degree to which each edge of the source is preserved, in 0..1, and its weight."""
    (strength, angle), (strength_f, angle_f) = _edges(source), _edges(fused)
    stronger = torch.maximum(strength, strength_f)
    ratio = torch.minimum(strength, strength_f) / torch.where(stronger > 0, stronger, 1)
    alignment = ((angle - angle_f).abs() - math.pi / 2).abs() * 2 / math.pi
    of_strength = 0.9999 * torch.sigmoid(19 * (ratio - 0.5))
    of_angle = 0.9995 * torch.sigmoid(22 * (alignment - 0.5))
    weight = torch.where(strength >= STRONG, strength ** 1.5, WEIGHT_OF_NONE)
    return (of_strength * of_angle).sqrt(), weight


@shared
def _edges(image: Image) -> tuple[Image, Image]:
    """Strength of the Sobel gradient in grey levels per pixel, and its angle from the vertical in [-pi/2, pi/2]."""
    x, y = (difference / 8 for difference in sobel(image, 'reflect'))
    angle = torch.atan(x / y)  # infinite for y = 0, whose arc tangent is pi/2
    return (x.square() + y.square()).sqrt(), torch.where((x == 0) & (y == 0), 0, angle)
