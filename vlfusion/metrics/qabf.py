"""Edge preservation: how much of the sources' edges, in strength and direction, the fused image keeps."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric


@fusion_metric(title='Edge preservation Q^AB/F', direction='higher', range=(0., 1.),
               source='Xydeas and Petrovic, Electron. Lett. 36(4), 2000')
def Qabf(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
         source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch']:
    """`Qabf = sum(Q_AF g_A + Q_BF g_B) / sum(g_A + g_B)`: preservation `Q`, weighted by the source's edge strength `g`.

        Q = Qg Qa
        Qg = 0.9994 / (1 + exp(-15 (G - 0.5))),   G = min(g, g_F) / max(g, g_F)
        Qa = 0.9879 / (1 + exp(-22 (A - 0.8))),   A = 1 - |a - a_F| / (pi / 2)

    with `g` and `a` the strength and angle of Sobel gradients, and black around the images. The result is NaN for two
    sources that are black all over, for then there is no edge to preserve.

    Two oddities of the released evaluator of FILM and CDDFuse, and of the MATLAB code of VIFB, are kept: where the
    strengths are equal, `G` is `g_F` itself instead of 1; and the difference of the angles is not taken modulo pi, so
    that `A` may be negative.

    Args:
        fused: grey levels in 0..255.
        source_a: likewise.
        source_b: likewise.
    """
    strength, angle = _edges(torch.cat([source_a, source_b, fused], 1))
    strength_s, strength_f = strength[:, :2], strength[:, 2:]
    ratio = torch.minimum(strength_s, strength_f) / torch.maximum(strength_s, strength_f)
    ratio = torch.where(strength_s == strength_f, strength_f, ratio)
    alignment = 1 - (angle[:, :2] - angle[:, 2:]).abs() / (math.pi / 2)
    preserved = 0.9994 * torch.sigmoid(15 * (ratio - 0.5)) * 0.9879 * torch.sigmoid(22 * (alignment - 0.8))
    return (preserved * strength_s).sum((1, 2, 3)) / strength_s.sum((1, 2, 3))


def _edges(images: Float[Tensor, 'batch c h w']) -> tuple[Float[Tensor, 'batch c h w'], Float[Tensor, 'batch c h w']]:
    """Strength of the Sobel gradient, and its angle in (-pi/2, pi/2], with x to the right and y upwards.

    The sense of y matters: a vertical gradient has the angle pi/2 whichever way it points, so it is near to one steep
    slope and far from its mirror image.
    """
    sobel = images.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    kernels = torch.stack([sobel, -sobel.T])[:, None]
    gradient = F.conv2d(images.flatten(0, 1)[:, None], kernels, padding=1)  # (batch * c, 2, h, w)
    x, y = gradient.unflatten(0, images.shape[:2]).unbind(2)
    strength = (x.square() + y.square()).sqrt()
    return strength, torch.where(x == 0, math.pi / 2, torch.atan(y / x))
