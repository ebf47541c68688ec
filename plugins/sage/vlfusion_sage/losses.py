"""The part of SAGE's loss (Wu et al., CVPR 2025) that compares with the sources, as in its released script.

The gradient part is vlfusion's `MaxGradientLoss`. The comparison with the large teacher network is left out.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from vlfusion.registry import LOSSES


@LOSSES.register_module()
class SourceLoss(nn.Module):
    """`w_a MSE(F, A) + w_b MSE(F, B)`: intensities close to both sources.

    Args:
        weight: factor in the total.
        weight_a: weight of source A, infrared.
        weight_b: weight of source B, visible.
    """

    def __init__(self, weight: float = 1.0, weight_a: float = 2.0, weight_b: float = 3.0):
        super().__init__()
        self.weight, self.weight_a, self.weight_b = weight, weight_a, weight_b

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        return self.weight_a * mse_loss(fused, source_a) + self.weight_b * mse_loss(fused, source_b)
