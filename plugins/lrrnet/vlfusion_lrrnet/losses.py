"""The only term of LRRNet's loss (Li et al., TPAMI 45(9), 2023) that needs no pretrained network."""

from torch.nn.functional import mse_loss

from vlfusion.losses import Image, Scalar, loss


@loss(weight=10.0)
def VisibleLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """Mean of `(255 (F - B))^2`: the fused image's squared distance from the visible one, in grey levels.

    Alone it trains a network to return the visible image. The infrared image enters through terms on features of
    VGG-16, which are not included here. The released training script uses the weight 10.
    """
    return mse_loss(255 * fused, 255 * source_b)
