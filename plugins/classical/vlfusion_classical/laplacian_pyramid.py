"""Fusion in the Laplacian pyramid, which keeps the coefficient of larger magnitude.

The pyramid: Burt and Adelson, "The Laplacian pyramid as a compact image code", IEEE Transactions on Communications
31(4), 1983. The choice of the larger coefficient: Burt, "The pyramid as a structure for efficient computation", in
Multiresolution Image Processing and Analysis, Springer 1984.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError
from vlfusion.registry import BACKBONES
from vlfusion_classical.pyramids import collapse, depth, laplacian_pyramid


@BACKBONES.register_module()
class LaplacianPyramid(nn.Module):
    """Laplacian pyramid fusion: `L_F = L_A if |L_A| >= |L_B| else L_B` at each level; the coarsest level is the mean.

    Args:
        levels: number of times that the images are halved, at most until their shorter side is one pixel.

    Raises:
        ConfigError: `levels` is less than 1.
    """

    def __init__(self, levels: int = 4):
        super().__init__()
        if levels < 1:
            raise ConfigError(f'A pyramid of {levels} levels has no detail to choose from.', 'Give levels=1 or more.')
        self.levels = levels
        # Each level reaches two of its own pixels further, on the way down and on the way up.
        self.multiple = 2 ** levels
        self.halo = 4 * (self.multiple - 1)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse luminance in [0, 1]; text is not read. The result is clamped to [0, 1]."""
        levels = depth(source_a, self.levels)
        *details_a, coarse_a = laplacian_pyramid(source_a, levels)
        *details_b, coarse_b = laplacian_pyramid(source_b, levels)
        details = [torch.where(a.abs() >= b.abs(), a, b) for a, b in zip(details_a, details_b, strict=True)]
        return collapse([*details, (coarse_a + coarse_b) / 2]).clamp(0, 1)
