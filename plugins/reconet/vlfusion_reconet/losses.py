"""The two terms with which the released code of ReCoNet (Huang et al., ECCV 2022) trains a fusion network.

That code trains a later version of the network; the script for the released weights is not public. It can weight each
pixel of each source by an information map that the user provides. Here all weights are 1, its default.
"""

from torch.nn.functional import l1_loss

from vlfusion.losses import Image, Scalar, dissimilarity, loss


@loss
def StructureLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """`DSSIM(F, A) + DSSIM(F, B)`.

    Raises:
        DataError: an image is too small to be reflected under half a window.
    """
    return dissimilarity(fused, source_a) + dissimilarity(fused, source_b)


@loss
def PixelLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """`mean |F - A| + mean |F - B|`."""
    return l1_loss(fused, source_a) + l1_loss(fused, source_b)
