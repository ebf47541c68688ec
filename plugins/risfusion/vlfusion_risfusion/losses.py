"""The terms of RIS-FUSION's loss (Ma et al., 2025), as in the released code.

Two terms compare the fused image with each source, with a weight for infrared, source A, and one for visible, source B;
a third one is `vlfusion.losses.SquaredErrorLoss`. Their defaults are those of the released parser of arguments. Where
these are 0, for edges, they are those of the released training command, all of which `configs/risfusion_roadscene.py`
holds.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.errors import DataError
from vlfusion.losses import Image, Scalar, axis_gradients, loss, ssim_map
from vlfusion.registry import LOSSES, MODELS


class _ToBothSources(nn.Module):
    """`w_ir d(F, A) + w_vi d(F, B)`."""

    def __init__(self, weight: float, shares: Sequence[float]):
        super().__init__()
        self.weight, self.shares = weight, shares

    def forward(self, fused: Image, source_a: Image, source_b: Image) -> Scalar:
        return sum((share * self.distance(fused, source)
                    for share, source in zip(self.shares, (source_a, source_b), strict=True) if share),
                   fused.new_zeros(()))


@LOSSES.register_module()
class SimilarityLoss(_ToBothSources):
    """`w_ir (1 - SSIM(F, A)) + w_vi (1 - SSIM(F, B))`, with a Gaussian window of 11 pixels and black beyond the border.

    Args:
        weight: factor in the total.
        shares: weights of infrared and visible.
    """

    def __init__(self, weight: float = 1.0, shares: Sequence[float] = (0.0, 1.0)):
        super().__init__(weight, shares)

    @staticmethod
    def distance(fused: Image, source: Image) -> Scalar:
        return 1 - ssim_map(fused, source, border='zeros').mean()


@LOSSES.register_module()
class EdgeLoss(_ToBothSources):
    """`w_ir e(F, A) + w_vi e(F, B)`, with `e(F, S)` the sum over both directions of `mean | |S_d F| - |S_d S| |`.

    `S_d` is Sobel's kernel, with zeros beyond the border. The released parser has weights 0, which train nothing; the
    defaults here are those of the released training command.

    Args:
        weight: factor in the total.
        shares: weights of infrared and visible.
    """

    def __init__(self, weight: float = 1.0, shares: Sequence[float] = (1.0, 0.0)):
        super().__init__(weight, shares)

    @staticmethod
    def distance(fused: Image, source: Image) -> Scalar:
        return 2 * F.l1_loss(_edges(fused), _edges(source))  # the mean over two directions, doubled to their sum


@loss
def JointEdgeLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """Sum over both directions of `mean | |S_d F| - max(|S_d A|, |S_d B|) |`, with zeros beyond the border.

    The released parser has the weight 0, the released training command 1.
    """
    return 2 * F.l1_loss(_edges(fused), torch.maximum(_edges(source_a), _edges(source_b)))


def _edges(image: Image) -> Float[Tensor, 'batch 2 h w']:
    return axis_gradients(image, border='constant')


@LOSSES.register_module()
class ReferredRegionLoss(nn.Module):
    """One minus Dice between the region that a text refers to and what a segmenter finds in the fused image.

    The only term that can depend on what the text says. Dice is averaged over the region and its complement, of those
    that have a pixel, then over the pairs. The segmenter learns together with the fusion network. The paper's is LAVT
    (Yang et al., CVPR 2022), which is not part of this plugin.

    Args:
        segmenter: config of a module in MODELS. Its `forward(image, text, text_mask)` takes luminance
            `(batch, 1, h, w)` in [0, 1] and the texts of the backbone, and returns logits of the region
            `(batch, 1, h', w')`, or of background and region `(batch, 2, h', w')`. Of these only the region's enters,
            as in the released code.
        weight: factor in the total.
    """

    def __init__(self, segmenter: dict, weight: float = 1.0):
        super().__init__()
        self.weight = weight
        self.segmenter = MODELS.build(segmenter)

    def forward(self, fused: Image, source_a: Image, source_b: Image, mask: Image,
                text: Float[Tensor, 'batch token dim'],
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Scalar:
        """Compute the loss.

        Args:
            fused: luminance in [0, 1].
            source_a, source_b: unused.
            mask: above one half within the region that the text refers to.
            text, text_mask: token features of each referring expression.

        Raises:
            DataError: the segmenter returns no logits of one or two classes.
        """
        logits = self.segmenter(fused, text, text_mask)
        if logits.ndim != 4 or logits.shape[1] not in (1, 2):
            raise DataError(f'The segmenter returned the shape {tuple(logits.shape)}.',
                            'Return logits (batch, 1, h, w) of the region, or (batch, 2, h, w) with the background.')
        logits = F.interpolate(logits[:, -1:], mask.shape[-2:], mode='bilinear', align_corners=False)
        region, found = (mask > 0.5).to(logits), logits.sigmoid()
        dice, present = zip(*(_dice(*pair) for pair in ((found, region), (1 - found, 1 - region))), strict=True)
        return (1 - sum(dice) / sum(present)).mean()


def _dice(found: Image, region: Image) -> tuple[Float[Tensor, ' batch'], Float[Tensor, ' batch']]:
    """Dice of each pair, or 0 if the region has no pixel; and 1 or 0, telling whether it has one."""
    overlap, area, size = (x.sum((1, 2, 3)) for x in (found * region, found, region))
    present = (size > 0).to(found)
    return present * (2 * overlap + 1e-6) / (area + size + 1e-6), present
