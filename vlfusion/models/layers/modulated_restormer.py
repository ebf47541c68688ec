"""The network of Text-IF (Yi et al., CVPR 2024), which ControlFusion (Tang et al., NeurIPS 2025) is built from.

Two encoders of Restormer blocks, one per source, work at four scales. At the coarsest scale the sources attend to each
other. A decoder returns to full size and merges the features of both encoders at each scale. One vector scales and
shifts the channels at each scale of the decoder.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError
from vlfusion.models.layers.modulation import FeatureModulation
from vlfusion.models.layers.pixel_attention import CrossAttention, SelfAttention
from vlfusion.models.layers.restormer import RestormerBlock
from vlfusion.models.layers.scales import Encoder, Upsample
from vlfusion.models.layers.strips import Strip, conv_rows


class ModulatedRestormer(nn.Module):
    """Two encoders of Restormer blocks and a decoder that a vector modulates.

    A backbone derives from it, and makes the vector in its `forward`.

    Args:
        text_dim: width of the vector.
        channels: channels of each source and of the output.
        dim: channels of the features at full size; each coarser scale has twice as many.
        blocks: Restormer blocks at each scale, in each encoder and in the decoder.
        refinement: number of blocks after the decoder.
        heads: attention heads of the blocks at each scale.
        expansion: expansion of the feed-forward networks.

    Raises:
        ConfigError: `dim` is odd, or `heads` does not divide the channels of a scale.
    """

    def __init__(self, text_dim: int, *, channels: int, dim: int, blocks: Sequence[int], refinement: int,
                 heads: Sequence[int], expansion: float):
        super().__init__()
        if dim % 2:
            raise ConfigError(f'{type(self).__name__} normalises {8 * dim} channels in 16 groups, but dim={dim} is '
                              'odd.', 'Choose an even dim; the paper uses 48.')
        self.text_dim = text_dim
        widths = [dim, 2 * dim, 4 * dim, 8 * dim]
        self.encoder_a, self.encoder_b = (
            Encoder(channels, widths, (stack(width, *rest, expansion)
                                       for width, *rest in zip(widths, blocks, heads, strict=True))) for _ in range(2))
        self.cross_attention = CrossAttention(widths[3])
        self.merge = nn.ModuleList(nn.Conv2d(2 * width, width, 1, bias=False) for width in widths)
        self.self_attention = SelfAttention(widths[3])
        self.modulate = nn.ModuleList(FeatureModulation(text_dim, width, hidden=2 * text_dim) for width in widths)

        self.up = nn.ModuleList(Upsample(2 * width) for width in widths[:3])
        self.reduce = nn.ModuleList(nn.Conv2d(2 * width, width, 1, bias=False) for width in widths[1:3])
        inner = [2 * dim, *widths[1:]]  # the finest scale keeps the channels of decoder and encoders concatenated
        self.decoder = nn.ModuleList(stack(width, *rest, expansion)
                                     for width, *rest in zip(inner, blocks, heads, strict=True))
        self.refine = stack(2 * dim, refinement, heads[0], expansion)
        self.output = nn.Conv2d(2 * dim, channels, 3, padding=1, bias=False)

    def encode(self, source_a: Float[Tensor, 'batch c h w'],
               source_b: Float[Tensor, 'batch c h w']) -> tuple[list[Tensor], list[Tensor]]:
        """Return the features of each source at four scales, the finest first."""
        return self.encoder_a(source_a), self.encoder_b(source_b)

    def fuse(self, source_a: Float[Tensor, 'batch c h w'], source_b: Float[Tensor, 'batch c h w'],
             vector: Float[Tensor, 'batch dim']) -> Float[Tensor, 'batch c h w']:
        """Fuse images of any size under a vector. The result may leave [0, 1]."""
        size = source_a.shape[-2:]
        padding = (0, -size[1] % 8, 0, -size[0] % 8)
        *finer, coarsest = zip(*self.encode(F.pad(source_a, padding, mode='replicate'),
                                            F.pad(source_b, padding, mode='replicate')), strict=True)
        merged = self.merge[3](torch.cat(self.cross_attention(*coarsest), 1))
        x = self.decoder[3](self.modulate[3](self.self_attention(merged), vector))
        for scale in (2, 1, 0):
            x = self.modulate[scale](self.up[scale](x), vector)
            x = torch.cat((x, self.merge[scale](torch.cat(finer[scale], 1))), 1)
            x = self.decoder[scale](self.reduce[scale - 1](x) if scale else x)
        return self.output(self.refine(x))[..., :size[0], :size[1]]


class FeedForward(nn.Module):
    """Feed-forward network of Text-IF: unlike Restormer's, without a gate and with a full 3x3 convolution."""

    def __init__(self, dim: int, expansion: float):
        super().__init__()
        hidden = int(dim * expansion)
        self.layers = nn.Sequential(nn.Conv2d(dim, hidden, 1, bias=False),
                                    nn.Conv2d(hidden, hidden, 3, padding=1, bias=False), nn.GELU(),
                                    nn.Conv2d(hidden, dim, 1, bias=False))

    def forward(self, x: Float[Tensor, 'batch dim rows w'], strip: Strip) -> Float[Tensor, 'batch dim fewer w']:
        """Compute the output for a strip, see `vlfusion.models.layers.strips`."""
        expand, conv, activation, project = self.layers
        return project(activation(conv_rows(expand(x), conv.weight, strip)))


def stack(dim: int, blocks: int, heads: int, expansion: float) -> nn.Sequential:
    """Build Restormer blocks with Text-IF's feed-forward network."""
    layers = [RestormerBlock(dim, heads, expansion) for _ in range(blocks)]
    for layer in layers:
        layer.feed_forward = FeedForward(dim, expansion)
    return nn.Sequential(*layers)
