"""Fusion in the Laplacian pyramid, which keeps the coefficient of larger magnitude.

The pyramid: Burt and Adelson, "The Laplacian pyramid as a compact image code", IEEE Transactions on Communications
31(4), 1983. The choice of the larger coefficient: Burt, "The pyramid as a structure for efficient computation", in
Multiresolution Image Processing and Analysis, Springer 1984.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError
from vlfusion.models.stacks import Stack
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

    sources = None

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
        return self.fuse_stack((source_a, source_b))

    def fuse_stack(self, sources: Stack) -> Float[Tensor, 'batch 1 h w']:
        """Fuse any number of sources: the strongest coefficient of all, and the mean of the coarsest levels."""
        strongest, total = None, 0
        for source in sources:
            *details, coarse = laplacian_pyramid(source, depth(source, self.levels))
            strongest = details if strongest is None else [
                torch.where(held.abs() >= new.abs(), held, new) for held, new in zip(strongest, details, strict=True)]
            total = total + coarse
        return collapse([*strongest, total / len(sources)]).clamp(0, 1)
