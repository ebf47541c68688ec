"""The brighter source at each pixel."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class Maximum(nn.Module):
    """`F = max(A, B)`, the target of many intensity losses."""

    halo = 0

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse luminance in [0, 1]; text is not read."""
        return torch.maximum(source_a, source_b)
