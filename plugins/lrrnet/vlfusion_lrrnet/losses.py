"""The one term of LRRNet's loss (Li et al., TPAMI 45(9), 2023) that needs no pretrained network."""

from torch.nn.functional import mse_loss

from vlfusion.losses import Image, Scalar, loss


@loss(weight=10.0)
def VisibleLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """Mean of `(255 (F - B))^2`: the fused image's squared distance from the visible one, in grey levels.

    Alone it teaches a network to return the visible image: what brings in the infrared image are the terms on features
    of VGG-16, which are left out here.

    The weight is 10 in the released training script.
    """
    return mse_loss(255 * fused, 255 * source_b)
