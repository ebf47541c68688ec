"""Fusion with weights from the detail that a cross bilateral filter removes.

Shreyamsha Kumar, "Image fusion based on pixel significance using cross bilateral filter", Signal, Image and Video
Processing 9(5), 2015.
"""

from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.registry import BACKBONES
from vlfusion_classical.filters import replicate

Images = Float[Tensor, 'batch 1 h w']


@BACKBONES.register_module()
class CrossBilateralFusion(nn.Module):
    """Sources weighted at each pixel by the surrounding detail: `F = (w_A A + w_B B) / (w_A + w_B)`.

    The detail of a source is the part that a bilateral filter removes, with range weights from the other source. `w` is
    the variance of the detail along rows plus that along columns of a 5 x 5 window. The paper writes `w` as the sum of
    the eigenvalues of two covariance matrices, which is the sum of their traces.

    Args:
        radius: radius of the filter's window in pixels.
        spatial_sigma: standard deviation of the Gaussian over distance, in pixels.
        range_sigma: standard deviation of the Gaussian over differences of luminance in [0, 1].
    """

    def __init__(self, radius: int = 5, spatial_sigma: float = 1.8, range_sigma: float = 25 / 255):
        super().__init__()
        self.radius, self.spatial_sigma, self.range_sigma = radius, spatial_sigma, range_sigma
        self.halo = radius + 2  # the filter, then the window of the variances

    def forward(self, source_a: Images, source_b: Images, text: Tensor | None = None,
                text_mask: Tensor | None = None) -> Images:
        """Fuse luminance in [0, 1]; text is not read."""
        sources = torch.cat((source_a, source_b), 1)
        detail = sources - self._filter(sources, guide=sources.flip(1))
        weight_a, weight_b = detail_strength(detail).split(1, 1)
        return ((weight_a * source_a + weight_b * source_b) / (weight_a + weight_b)).clamp(0, 1)

    def _filter(self, x: Tensor, guide: Tensor) -> Tensor:
        """Apply the cross bilateral filter (eq. 3), with weights from distances and from differences in the guide."""
        height, width = x.shape[-2:]
        padded_x, padded_guide = replicate(x, self.radius), replicate(guide, self.radius)
        total, norm = torch.zeros_like(x), torch.zeros_like(x)
        for row, column in product(range(2 * self.radius + 1), repeat=2):
            window = (..., slice(row, row + height), slice(column, column + width))
            distance = ((row - self.radius) ** 2 + (column - self.radius) ** 2) / self.spatial_sigma ** 2
            difference = (padded_guide[window] - guide) / self.range_sigma
            weight = torch.exp(-(distance + difference ** 2) / 2)
            total += weight * padded_x[window]
            norm += weight
        return total / norm


def detail_strength(detail: Float[Tensor, 'batch c h w']) -> Float[Tensor, 'batch c h w']:
    """Sum the variances of the rows and of the columns of the 5 x 5 window around each pixel (eq. 4 to 8)."""
    windows = replicate(detail, 2).unfold(2, 5, 1).unfold(3, 5, 1)  # (batch, c, h, w, row, column)
    return windows.var(-1).sum(-1) + windows.var(-2).sum(-1) + 1e-12  # equal weights where both sources are flat
