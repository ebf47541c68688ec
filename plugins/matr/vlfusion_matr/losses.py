"""The region term in the loss of MATR (Tang et al., IEEE TIP 31, 2022); the other term is vlfusion's `SSIMLoss`.

`L = (1 - SSIM(F, A)) + (1 - SSIM(F, B)) + 2.5 R(F, A) + R(F, B)` with A the MRI and B the functional image, and the
weights of the released training script. Neither term needs a pretrained network.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import DataError
from vlfusion.registry import LOSSES


@LOSSES.register_module()
class RegionMutualInformationLoss(nn.Module):
    """`w_a R(F, A) + w_b R(F, B)`, with `R = (cross-entropy + I) / 2` after Zhao et al. (NeurIPS 2019).

    `I` measures how little the neighbourhoods of the fused image tell about those of the source. The 3x3 neighbourhoods
    of all pixels are samples of a 9-dimensional vector. `I = log det(C_s - C_sf C_f^-1 C_fs) / 18` is computed from the
    scatter of the source that remains when the fused image is known. Before, each 3x3 block of both images is reduced
    to its maximum.

    The term was defined for segmentation, but the released code applies it to images: the network's output in [-1, 1]
    serves as a logit, whose sigmoid is compared, and the source as a probability. This is kept.

    Args:
        weight: factor in the total.
        weight_a: weight of the MRI.
        weight_b: weight of the functional image.

    Raises:
        DataError: an image is smaller than 7x7, which leaves no 3x3 neighbourhood.
    """

    _POOL, _REGION, _EPSILON = 3, 3, 5e-4

    def __init__(self, weight: float = 1.0, weight_a: float = 2.5, weight_b: float = 1.0):
        super().__init__()
        self.weight, self.weight_a, self.weight_b = weight, weight_a, weight_b

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        if min(fused.shape[-2:]) < 7:
            size = tuple(fused.shape[-2:])
            raise DataError(f'Region mutual information needs images of at least 7x7, but got {size}.',
                            'Use larger crops.')
        return self.weight_a * self._term(fused, source_a) + self.weight_b * self._term(fused, source_b)

    def _term(self, fused: Tensor, source: Tensor) -> Tensor:
        cross_entropy = F.binary_cross_entropy_with_logits(fused, source)
        return (cross_entropy + self._residual_information(fused.sigmoid(), source).to(fused.dtype)) / 2

    def _residual_information(self, fused: Tensor, source: Tensor) -> Tensor:
        f, s = self._neighbourhoods(fused), self._neighbourhoods(source)  # (batch, 9, place)
        ridge = self._EPSILON * torch.eye(f.shape[1], dtype=f.dtype, device=f.device)
        cross = s @ f.mT
        unexplained = s @ s.mT - cross @ torch.linalg.solve(f @ f.mT + ridge, cross.mT)
        # Scatter is a sum over pixels, not a mean. So the term grows with the image, and the ridge matters less.
        diagonal = torch.linalg.cholesky(unexplained + ridge).diagonal(dim1=-2, dim2=-1)
        return diagonal.log().sum(-1).mean() / f.shape[1]

    def _neighbourhoods(self, images: Tensor) -> Tensor:
        """Return each 3x3 neighbourhood of the reduced images as a column, minus the mean; float64 for Cholesky."""
        reduced = F.max_pool2d(images, self._POOL, self._POOL, padding=self._POOL // 2)
        columns = F.unfold(reduced.double(), self._REGION)
        return columns - columns.mean(-1, keepdim=True)
