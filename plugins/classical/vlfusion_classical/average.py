"""The mean of the sources, a baseline that every method should beat."""

from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class Average(nn.Module):
    """`F = (A + B) / 2`. Noise and contrast of both sources are halved."""

    halo = 0

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse luminance in [0, 1]; text is not read."""
        return (source_a + source_b) / 2
