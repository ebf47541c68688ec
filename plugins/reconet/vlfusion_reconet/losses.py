"""The two terms with which the released code of ReCoNet (Huang et al., ECCV 2022) trains a fusion network.

That code trains a later version of the network; the script for the released weights is not public. It can weight each
pixel of each source by an information map that the user provides. Here all weights are 1, its default.
"""

from torch.nn.functional import l1_loss

from vlfusion.losses import Image, Scalar, loss, ssim_map


@loss
def StructureLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """`mean (1 - SSIM(F, A)) / 2 + mean (1 - SSIM(F, B)) / 2`, each clamped to [0, 1] at each pixel.

    SSIM is that of Wang et al. (IEEE TIP 2004) with a Gaussian window of 11 pixels and sigma 1.5, on images in [0, 1].
    The factor 1/2, the clamp and the reflected border follow kornia.

    Raises:
        DataError: an image is too small to be reflected under half a window.
    """
    return sum(((1 - ssim_map(fused, source, border='reflect')) / 2).clamp(0, 1).mean()
               for source in (source_a, source_b))


@loss
def PixelLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """`mean |F - A| + mean |F - B|`."""
    return l1_loss(fused, source_a) + l1_loss(fused, source_b)
