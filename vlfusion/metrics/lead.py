"""Lead of source A: the source that the fused image is nearer to, in intensity and in texture."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.metrics.base import fusion_metric
from vlfusion.metrics.detail import fine
from vlfusion.metrics.weighted import Image, weighted_mean
from vlfusion.metrics.windows import smooth


def lead(fused: Image, source_a: Image, source_b: Image, weight: Image | None = None) -> Float[Tensor, ' batch']:
    """Return `(d_B - d_A) / (d_A + d_B)`, with `d_X` the mean of `|F - X|`; NaN if the fused image equals both sources.

    Args:
        fused, source_a, source_b: images, or the same parts of them.
        weight: weight of each pixel in the means; None for equal ones.
    """
    to_a, to_b = (weighted_mean((fused - source).abs(), weight) for source in (source_a, source_b))
    return (to_b - to_a) / (to_a + to_b)


@fusion_metric(title='Lead of source A', direction='neither', range=(-1., 1.), over='joint', source="vlfusion's own")
def LeadA(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
          source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    """`LeadA = (d_B - d_A) / (d_A + d_B)`, with `d_X = mean(|S F - S X|)` and `S` a Gaussian blur of 2 pixels.

    It is 1 if the intensity of the fused image is that of source A, -1 if it is that of source B, and 0 if both are
    equally near. "Emphasise the PET" asks it to move to the PET's side.

    Args:
        fused, source_a, source_b: grey levels in 0..255.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(LeadA((3 * a + b) / 4, a, b).item(), 3)
    0.5
    """
    return lead(*map(smooth, (fused, source_a, source_b)))


@fusion_metric(title='Lead of source A in texture', direction='neither', range=(-1., 1.), over='joint',
               source="vlfusion's own")
def TextureLeadA(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                 source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    """`TextureLeadA = (d_B - d_A) / (d_A + d_B)`, with `d_X = mean(|D F - D X|)` and `D X = X - S X`.

    It is `LeadA` of the fine structures. "Keep the MRI's texture" asks it to move to the MRI's side.

    Args:
        fused, source_a, source_b: grey levels in 0..255.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(TextureLeadA((3 * a + b) / 4, a, b).item(), 3)
    0.5
    """
    return lead(*map(fine, (fused, source_a, source_b)))
