"""Detail: the strength of fine structures in the fused image."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.sharing import shared
from vlfusion.metrics.weighted import Image, weighted_mean
from vlfusion.metrics.windows import smooth


@shared
def fine(image: Image) -> Image:
    """Return the fine structures of an image: the image less its blur."""
    return image - smooth(image)


@fusion_metric(title='Detail', direction='neither', unit='grey level', range=(0., 255.), over='none',
               source="vlfusion's own")
def Detail(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
           source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    """`Detail = mean(|F - S F|)`, with `S` a Gaussian blur of 2 pixels: what "more detail" asks for.

    It is the detail that `vlfusion.imaging.asked_picture` multiplies. Noise counts as detail.

    Args:
        fused: grey levels in 0..255.
        source_a, source_b: not used.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(Detail((a + b) / 2, a, b).item(), 3)
    36.96
    """
    return weighted_mean(fine(fused).abs())
