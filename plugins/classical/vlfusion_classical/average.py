"""The mean of the sources, a baseline that every method should beat."""

from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.stacks import Stack
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class Average(nn.Module):
    """`F = (A + B) / 2`, or the mean of more sources. Noise and contrast of both sources are halved."""

    halo = 0
    sources = None

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse luminance in [0, 1]; text is not read."""
        return self.fuse_stack((source_a, source_b))

    def fuse_stack(self, sources: Stack) -> Float[Tensor, 'batch 1 h w']:
        """Fuse any number of sources."""
        return sum(sources) / len(sources)
