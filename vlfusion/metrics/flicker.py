"""Flicker: changes from frame to frame that no source has."""

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.weighted import Image

#: Maps of a frame: the fused frame before it, and those of the sources.
BEFORE = ('before', 'before_a', 'before_b')


@fusion_metric(title='Flicker', direction='lower', range=(0., 255.), unit='grey level', over='joint', maps=BEFORE,
               source='The criterion is "temporal stability" of Rockinger, Image sequence fusion using a '
                      "shift-invariant wavelet transform, ICIP 1997; the distance is vlfusion's own")
def Flicker(fused: Image, source_a: Image, source_b: Image, before: Image, before_a: Image,
            before_b: Image) -> Float[Tensor, ' batch']:
    """`Flicker = mean(min_w |dF - (w dA + (1 - w) dB)|)`: the change from frame to frame that no weight explains.

    `dX` is a frame minus the one before, and `w` in [0, 1] is the best weight of each pixel. So a pixel counts by the
    distance of its change from the span between the sources' changes. Motion that a source has costs nothing, and needs
    no optical flow. Still sources must give a still result. It is 0 for each source itself, for means with fixed
    weights and for the maximum. A method that raises contrast pays where things move. `vlfusion evaluate --sequence`
    computes it: the maps are the frames before.

    Args:
        fused, source_a, source_b: a frame, grey levels in 0..255.
        before, before_a, before_b: the frame before.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 200)[None, None]
    >>> b, moved = a.flip(3), a.roll(1, 3)
    >>> mean = (a + b) / 2
    >>> Flicker((moved + b) / 2, moved, b, mean, a, b).item(), Flicker(mean + 3, a, b, mean, a, b).item()
    (0.0, 3.0)
    """
    change, change_a, change_b = fused - before, source_a - before_a, source_b - before_b
    explained = change.clamp(torch.minimum(change_a, change_b), torch.maximum(change_a, change_b))
    return (change - explained).abs().mean((1, 2, 3))
