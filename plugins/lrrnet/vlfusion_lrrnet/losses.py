"""The one term of LRRNet's loss (Li et al., TPAMI 45(9), 2023) that needs no pretrained network."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from vlfusion.registry import LOSSES


@LOSSES.register_module()
class VisibleLoss(nn.Module):
    """Mean of `(255 (F - B))^2`: the fused image's squared distance from the visible one, in grey levels.

    Alone it teaches a network to return the visible image: what brings in the infrared image are the terms on features
    of VGG-16, which are left out here.

    Args:
        weight: factor in the total; 10 in the released training script.
    """

    def __init__(self, weight: float = 10.0):
        super().__init__()
        self.weight = weight

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        return mse_loss(255 * fused, 255 * source_b)
