"""Text-IF: semantic text guidance for degradation-aware and interactive fusion (Yi et al., CVPR 2024).

Two encoders of Restormer blocks, one per source, and a decoder. One vector of the instruction scales and shifts the
channels at each scale of the decoder (feature-wise linear modulation, Perez et al., AAAI 2018). The layers are those of
`vlfusion.models.layers.modulated_restormer`.
"""

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor

from vlfusion.models.layers.modulated_restormer import ModulatedRestormer
from vlfusion.models.layers.modulation import pooled_text
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class TextIF(ModulatedRestormer):
    """Text-IF for luminance: Restormer encoders and a decoder that an instruction modulates.

    Args:
        text_dim: width of the text features; 512 for CLIP ViT-B/32, as in the paper.
        text_scale: factor on the text vector. CLIP's vectors have a norm of about ten, and the paper uses 1. Sentence
            encoders give vectors of norm one, with which the modulation hardly learns: use `text_dim ** 0.5` for them.
        dim: channels at full size; each coarser scale has twice as many.
        blocks: Restormer blocks at each scale, in each encoder and in the decoder.
        refinement: number of blocks after the decoder.
        heads: attention heads of the blocks at each scale.
        expansion: expansion of the feed-forward networks.

    >>> import torch
    >>> net = TextIF(text_dim=16, dim=8, blocks=(1, 1, 1, 1), refinement=1).eval()
    >>> net(torch.rand(2, 1, 20, 28), torch.rand(2, 1, 20, 28), text=torch.rand(2, 1, 16)).shape
    torch.Size([2, 1, 20, 28])

    Raises:
        ConfigError: `dim` is odd, or `heads` does not divide the channels of a scale.
    """

    def __init__(self, text_dim: int = 512, *, text_scale: float = 1.0, dim: int = 48,
                 blocks: Sequence[int] = (2, 2, 2, 2), refinement: int = 4, heads: Sequence[int] = (1, 2, 4, 8),
                 expansion: float = 2):
        super().__init__(text_dim, channels=1, dim=dim, blocks=blocks, refinement=refinement, heads=heads,
                         expansion=expansion)
        self.text_scale = text_scale

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene as the instruction says.

        Args:
            source_a: luminance in [0, 1], infrared in the paper. The encoders share no weights.
            source_b: luminance in [0, 1], visible in the paper.
            text: features of the instruction: one pooled vector, or several, which are averaged.
            text_mask: True for a real token, False for padding; None if all tokens are real.

        Returns:
            The fused luminance, in [0, 1] in evaluation mode. In training mode it may leave that range, because a clamp
            would remove the gradient of the worst pixels.

        Raises:
            ConfigError: no text is given, or the width of its features is not `text_dim`.
            DataError: a text of the batch has no real token.
        """
        vector = self.text_scale * pooled_text(self, text, text_mask, self.text_dim)
        fused = self.fuse(source_a, source_b, vector)
        return fused if self.training else fused.clamp(0, 1)
