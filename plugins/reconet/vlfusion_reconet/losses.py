"""The two terms by which the released code of ReCoNet (Huang et al., ECCV 2022) trains a fusion network.

That code is of a later version of the network; the script that trained the released weights is not public. It can weigh
each pixel of each source by an information map, a file that the user brings; here all weights are 1, as there without.
"""

from torch.nn.functional import l1_loss

from vlfusion.losses import Image, Scalar, loss, ssim_map


@loss
def StructureLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """`mean (1 - SSIM(F, A)) / 2 + mean (1 - SSIM(F, B)) / 2`, with each of them cut to [0, 1] at each pixel.

    SSIM after Wang et al. (IEEE TIP 2004) with a Gaussian window of 11 pixels and sigma 1.5 on images in [0, 1]; the
    halving, the cut and the reflected border are kornia's.

    Raises:
        DataError: an image is too small to be reflected under half a window.
    """
    return sum(((1 - ssim_map(fused, source, border='reflect')) / 2).clamp(0, 1).mean()
               for source in (source_a, source_b))


@loss
def PixelLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """`mean |F - A| + mean |F - B|`."""
    return l1_loss(fused, source_a) + l1_loss(fused, source_b)
