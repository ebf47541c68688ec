"""The brighter source at each pixel."""

from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.stacks import Stack
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class Maximum(nn.Module):
    """`F = max(A, B)`, the target of many intensity losses."""

    halo = 0
    sources = None

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse luminance in [0, 1]; text is not read."""
        return self.fuse_stack((source_a, source_b))

    def fuse_stack(self, sources: Stack) -> Float[Tensor, 'batch 1 h w']:
        """Fuse any number of sources."""
        return reduce(torch.maximum, sources)
